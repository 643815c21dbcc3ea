"""The audit misses nothing: what is changed, dropped, moved, cut off or signed by a stranger is named by its record."""

from pathlib import Path
from random import Random

import pytest

from bus.signing import SigningKey
from fleet.clock import VirtualClock
from remediator.audit import AUDIT_FILE, CHECKPOINT_FILE, Audit, AuditError, Verdict, checkpoint_in, verify

KEY, STRANGER = SigningKey.from_seed(b"k" * 32), SigningKey.from_seed(b"x" * 32)
TRUSTED = {KEY.key_id: KEY.trusted("service")}


def written(folder: Path, records: int = 40, key: SigningKey = KEY, text: str = "a node was cordoned") -> Path:
    clock = VirtualClock()
    audit = Audit(folder / AUDIT_FILE, key, clock)
    for number in range(records):
        audit.append("decision", {"number": number, "text": text})
        clock._elapsed_ns += 150_000_000
    audit.close()
    return folder / AUDIT_FILE


def judged(path: Path, *, beside: bool = True) -> Verdict:
    return verify(path, TRUSTED, checkpoint_in(path.with_name(CHECKPOINT_FILE)) if beside else None)


def test_what_nobody_touched_is_whole(tmp_path: Path) -> None:
    found = judged(written(tmp_path))
    assert found.whole
    assert found.checkpoints >= 5
    assert found.records == 40 + found.checkpoints
    assert found.unsigned == 0


def test_a_single_flipped_bit_names_its_record(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    starts = [0, *[at + 1 for at, byte in enumerate(whole) if byte == 10]]
    random = Random(1)
    for _ in range(300):
        at = random.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :])
        record = sum(start <= at for start in starts)
        found = judged(path)
        assert found.broken_at in {record, record + 1}, at  # a newline made something else joins two lines


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_dropped_record_is_missed_at_its_place(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = lines_of(path)
    for number in (1, 7, len(lines) - 1):
        path.write_bytes(b"".join(lines[: number - 1] + lines[number:]))
        assert judged(path).broken_at == number


def test_two_records_in_another_order_are_noticed(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = lines_of(path)
    lines[10], lines[11] = lines[11], lines[10]
    path.write_bytes(b"".join(lines))
    assert judged(path).broken_at == 11


def test_a_tail_that_is_cut_off_is_missed_by_the_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = lines_of(path)
    for left in (0, 1, len(lines) // 2, len(lines) - 2):
        path.write_bytes(b"".join(lines[:left]))
        found = judged(path)
        assert (found.broken_at, "cut off" in found.why) == (left + 1, True)
    path.write_bytes(path.read_bytes()[:-3])
    assert judged(path).broken_at == len(lines) - 2


def test_a_chain_made_anew_needs_the_services_key(tmp_path: Path) -> None:
    path = written(tmp_path, key=STRANGER)
    found = judged(path, beside=False)
    assert found.broken_at is not None
    assert "foreign key" in found.why
    (tmp_path / "own").mkdir()
    mine = written(tmp_path / "own")
    path.with_name(CHECKPOINT_FILE).replace(mine.with_name(CHECKPOINT_FILE))
    assert "not believed" in judged(mine).why


def test_a_history_rewritten_behind_a_kept_checkpoint_is_noticed(tmp_path: Path) -> None:
    kept = checkpoint_in(written(tmp_path).with_name(CHECKPOINT_FILE))
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", records=41, text="nothing was done")
    assert verify(other, TRUSTED, kept).broken_at is not None


def test_writing_goes_on_where_it_was_and_an_unfinished_record_is_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b"0123456789abcdef unfinished")
    clock = VirtualClock()
    audit = Audit(path, KEY, clock)
    audit.append("decision", {"number": 40})
    audit.close()
    assert judged(path).whole


def test_what_the_outbox_hands_over_again_stands_in_it_once(tmp_path: Path) -> None:
    path = tmp_path / AUDIT_FILE
    audit = Audit(path, KEY, VirtualClock())
    events = [(number, "remediations", b'{"id":%d}' % number) for number in range(1, 6)]
    audit.take(events[:3])
    audit.take(events)
    audit.close()
    again = Audit(path, KEY, VirtualClock())
    again.take(events)
    again.close()
    assert judged(path).whole
    assert path.read_bytes().count(b'"mark"') == 5


def test_an_absent_audit_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit"):
        verify(tmp_path / AUDIT_FILE, TRUSTED)
