"""Whatever bytes a driver, a kernel or a client writes: an answer or one of our errors, never a crash."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent.gpus import parse_gpus
from agent.kernel_lines import gpu_error, journal_line, kmsg_line, pci_address
from agent.power import Bounds, OutOfBounds, targets
from agent.protocol import CheckpointRequest, GpuReading, PowerLimit
from agent.server import Tokens
from fleet.errors import Malformed

limits = st.one_of(st.none(), st.floats(allow_nan=False, min_value=0, max_value=2_000))


@given(st.one_of(st.text(max_size=300), st.from_regex(r"NVRM: Xid \(.{0,20}\): .{0,20}")))
def test_any_line_is_an_error_with_a_number_or_nothing(line: str) -> None:
    found = gpu_error(line)
    assert found is None or (found.code.isdigit() and pci_address(found.pci) == found.pci)


@given(st.binary(max_size=300))
def test_any_record_is_read_or_skipped(record: bytes) -> None:
    kmsg_line(record)
    journal_line(record)


@given(st.text(max_size=400))
def test_any_csv_is_gpus_or_malformed(text: str) -> None:
    try:
        readings, _ = parse_gpus(text)
    except Malformed:
        return
    assert len({reading.gpu for reading in readings}) == len(readings)


@given(st.binary(max_size=200))
def test_any_request_body_is_a_wish_or_a_decoding_error(body: bytes) -> None:
    for kind in (PowerLimit, CheckpointRequest):
        try:
            wish = msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            continue
        assert wish.intent.isascii()


@given(st.text(max_size=100))
def test_only_the_two_tokens_open_anything(header: str) -> None:
    tokens = Tokens.of(read="r" * 32, write="w" * 32)
    assert tokens.may(header) == frozenset()
    assert tokens.may("Bearer " + "r" * 32) == {"GET"}
    assert tokens.may("bearer " + "w" * 32) == {"GET", "PUT"}


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=1, max_size=5)),
    st.lists(st.tuples(limits, limits), max_size=8),
)
def test_a_limit_that_is_let_through_is_within_every_targets_bounds(watts, wanted, bounds) -> None:
    gpus = [
        GpuReading(
            gpu=n,
            uuid="",
            power_watts=None,
            power_limit_watts=None,
            default_power_limit_watts=None,
            min_power_limit_watts=low,
            max_power_limit_watts=high,
            temperature_celsius=None,
        )
        for n, (low, high) in enumerate(bounds)
    ]
    owner = Bounds(low_watts=100, high_watts=1_000)
    try:
        chosen = targets(PowerLimit(watts=watts, intent="i", gpus=wanted), gpus, owner)
    except OutOfBounds:
        return
    assert chosen
    for number in chosen:
        low, high = bounds[number]
        assert max(100, low or 0) <= watts <= min(1_000, high)
