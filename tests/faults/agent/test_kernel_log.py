"""Following a kernel log that blocks, storms, ends, and comes again."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from agent.kernel_log import Journal, Kmsg
from agent.store import Unusable
from fleet.clock import VirtualClock


async def taken(source, after: str | None, count: int) -> list[str]:
    found: list[str] = []
    lines = source.lines(after)
    async with asyncio.timeout(10):
        async for batch in lines:
            found += [line.mark for line in batch]
            if len(found) >= count:
                break
    await lines.aclose()
    return found


@pytest.fixture
def ring(tmp_path: Path):
    """A pipe in the place of /dev/kmsg: it blocks, becomes readable and hands out what was written."""
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield path, lambda text: os.write(descriptor, text.encode())
    os.close(descriptor)


async def test_records_written_later_are_read_without_polling(ring) -> None:
    path, write = ring
    task = asyncio.create_task(taken(Kmsg(path), None, 2))
    await asyncio.sleep(0.05)
    write("6,1,1000,-;first\n SUBSYSTEM=pci\n")
    await asyncio.sleep(0.05)
    write("6,2,2000,-;second\n")
    assert await task == ["1", "2"]


async def test_what_was_read_before_a_restart_is_not_read_again(ring) -> None:
    path, write = ring
    write("".join(f"6,{n},1000,-;line\n" for n in range(1, 6)))
    assert await taken(Kmsg(path), "3", 2) == ["4", "5"]


async def test_broken_records_are_skipped_and_their_neighbours_read(ring) -> None:
    path, write = ring
    write("6,1,1000,-;good\nnonsense\n9999999999999,x;y\n12,2,1000,-;user space\n6,3,1000,-;good\n")
    assert await taken(Kmsg(path), None, 2) == ["1", "3"]


def test_a_ring_that_cannot_be_read_says_what_to_try(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="kernel_log: journal"):
        Kmsg(tmp_path / "absent")


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="/dev/kmsg cannot be read here")
async def test_the_machines_own_ring_is_read() -> None:
    try:
        source = Kmsg()
    except Unusable as error:
        pytest.skip(str(error))
    assert len(await taken(source, None, 1)) >= 1


def journalctl(folder: Path, text: str) -> str:
    path = folder / "journalctl"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{text}\n')
    path.chmod(0o755)
    return str(path)


def entry(cursor: str) -> str:
    return json.dumps({"__CURSOR": cursor, "_TRANSPORT": "kernel", "MESSAGE": "x"})


async def test_a_journal_that_ends_is_started_again_where_it_ended(tmp_path: Path) -> None:
    slept: list[float] = []

    class Impatient(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    source = Journal(Impatient(), journalctl(tmp_path, f"echo '{entry('c1')}'"))
    assert await taken(source, None, 2) == ["c1", "c1"]
    assert slept == [5.0]
    first, second = (tmp_path / "calls").read_text().splitlines()[:2]
    assert first == "-k -f -o json --no-pager --no-tail"
    assert second == "-k -f -o json --no-pager --no-tail --after-cursor c1"


async def test_a_journal_line_of_megabytes_is_skipped(tmp_path: Path) -> None:
    script = f"head -c 3000000 /dev/zero | tr '\\0' x; echo; echo '{entry('c2')}'; sleep 60"
    assert await taken(Journal(VirtualClock(), journalctl(tmp_path, script)), None, 1) == ["c2"]


async def test_a_machine_without_journalctl_says_what_to_try() -> None:
    with pytest.raises(Unusable, match="kernel_log: kmsg"):
        await taken(Journal(VirtualClock(), "/nonexistent/journalctl"), None, 1)
