"""Lines of the kernel log, as drivers write them, to GPU errors."""

import pytest

from agent.kernel_lines import GpuError, KernelLine, gpu_error, journal_line, kmsg_line, line_time_ms, pci_address

QUOTED = {
    "NVRM: Xid (PCI:0000:0f:00): 94, pid=2503421, name=python3, Ch 00000008": ("xid", "94", "0000:0f:00"),
    "NVRM: Xid (PCI:0000:0f:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.": (
        "xid",
        "79",
        "0000:0f:00",
    ),
    "nvidia-nvswitch2: SXid (PCI:0000:85:00.0): 12028, Non-fatal, Link 61 egress non-posted PRIV error": (
        "sxid",
        "12028",
        "0000:85:00",
    ),
    "NVRM: Xid (0000:04:00): 62, 30b7(2d1c) 00000000 00000000": ("xid", "62", "0000:04:00"),
    "NVRM: Xid (PCI:00000001:C1:00.0): 119, Timeout waiting for RPC from GSP0!": ("xid", "119", "0001:c1:00"),
    "[12345.678901] NVRM: Xid (PCI:0000:0F:00): 48": ("xid", "48", "0000:0f:00"),
    "NVRM: Xid (PCI:0000:18:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)": (
        "xid",
        "154",
        "0000:18:00",
    ),
}


@pytest.mark.parametrize("line", QUOTED)
def test_a_drivers_line_gives_its_kind_code_and_place(line: str) -> None:
    found = gpu_error(line)
    assert found is not None
    assert (found.kind, found.code, found.pci) == QUOTED[line]
    assert found.text.startswith(("NVRM", "nvidia-nvswitch"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.54.15",
        "NVRM: GPU at PCI:0000:0f:00: GPU-8c6f6bd5",
        "NVRM: Xid (PCI:0000:0f:00): ",
        "NVRM: Xid (PCI:0000:0f:00): abc, x",
        "NVRM: Xid (PCI:0000:0f:00): 79abc",
        "NVRM: Xid (PCI:zzzz:0f:00): 79, x",
        "NVRM: Xid (PCI:0000:0f:00): 9999999, x",
        "xid 79",
    ],
)
def test_other_lines_give_nothing(line: str) -> None:
    assert gpu_error(line) is None


def test_control_characters_and_length_are_tamed() -> None:
    found = gpu_error("NVRM: Xid (PCI:0000:0f:00): 13, \x1b[31mred\n\x00" + "x" * 5_000)
    assert found is not None
    assert "\x1b" not in found.text
    assert len(found.text) <= 512


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:0F:00.0", "0000:0f:00"),
        ("0000:0f:00", "0000:0f:00"),
        ("0f:00.0", "0000:0f:00"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_nvidia_smis_and_the_kernels_addresses_meet_in_one_form(text: str, address: str) -> None:
    assert pci_address(text) == address


def test_a_kmsg_record_is_read_as_the_kernel_documents_it() -> None:
    line = kmsg_line(
        b"4,1573,61432817,-;NVRM: Xid (PCI:0000:0f:00): 79, \\x27x\\x27\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0f:00.0\n"
    )
    assert line == KernelLine(text="NVRM: Xid (PCI:0000:0f:00): 79, 'x'", mark="1573", uptime_us=61_432_817)


def test_what_user_space_wrote_into_the_ring_is_not_believed() -> None:
    """Facility 1 and above is not the kernel's: root wrote it to /dev/kmsg, or systemd did."""
    assert kmsg_line(b"12,1574,61432818,-;NVRM: Xid (PCI:0000:0f:00): 79, forged\n") is None


def test_a_journal_entry_carries_its_own_time_and_place_to_go_on() -> None:
    line = journal_line(
        b'{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","_TRANSPORT":"kernel","MESSAGE":"NVRM: Xid"}\n'
    )
    assert line == KernelLine(text="NVRM: Xid", mark="s=1;i=2", at_ms=1_700_000_000_123)


def test_a_journal_message_of_raw_bytes_is_read() -> None:
    line = journal_line(b'{"__CURSOR":"c","MESSAGE":[78,86,82,77]}')
    assert line is not None
    assert line.text == "NVRM"


@pytest.mark.parametrize(
    "record", [b"", b"{", b'{"MESSAGE":"x"}', b'{"__CURSOR":"c","MESSAGE":null}', b'{"__CURSOR":"c","MESSAGE":[300]}',
               b'{"__CURSOR":"c","_TRANSPORT":"stdout","MESSAGE":"NVRM: Xid (PCI:0000:0f:00): 79, forged"}']
)  # fmt: skip
def test_a_journal_entry_that_is_not_the_kernels_or_broken_gives_nothing(record: bytes) -> None:
    assert journal_line(record) is None


def test_a_line_just_written_has_the_present_as_its_time_and_an_old_one_its_own() -> None:
    fresh = KernelLine(text="", mark="1", uptime_us=99_000_000)
    old = KernelLine(text="", mark="1", uptime_us=40_000_000)
    assert line_time_ms(fresh, now_ms=1_000_000, boottime_ns=100_000_000_000) == 1_000_000
    assert line_time_ms(old, now_ms=1_000_000, boottime_ns=100_000_000_000) == 940_000
    assert line_time_ms(KernelLine(text="", mark="1", at_ms=2_000_000), now_ms=1_000_000, boottime_ns=0) == 1_000_000


def test_an_error_is_a_value() -> None:
    assert gpu_error("NVRM: Xid (PCI:0000:0f:00): 48") == GpuError(
        kind="xid", code="48", pci="0000:0f:00", text="NVRM: Xid (PCI:0000:0f:00): 48"
    )
