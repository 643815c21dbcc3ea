"""The audit: every decision in one file, each record chained to all before it, with signed checkpoints in between.

A line is `<hash> <record>`: the hash is SHA-256 over the hash before it and the record's bytes as written. A checkpoint is a
record too; it holds the count and the hash before it and an Ed25519 signature over both, and is also kept beside the file and
told in the log, so that a tail that was cut off is missed. What is changed, dropped, moved or added by hand breaks the chain;
a chain that was made anew breaks at the first checkpoint, which only the service's key can sign.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bus.signing import SigningKey, TrustedKey
from fleet.clock import Clock
from fleet.errors import HallkeeperError

AUDIT_FILE = "audit.log"
CHECKPOINT_FILE = "audit.checkpoint"
CHECKPOINT_RECORDS = 1_000
CHECKPOINT_MS = 1_000
"""A checkpoint follows so many records, or the first record after so long."""
NOTHING = "0" * 64
"""The hash before the first record."""
LINE_BYTES = 1 << 22
"""The longest line that is believed."""

log = structlog.get_logger("hallkeeper.audit")


class AuditError(HallkeeperError):
    """The audit cannot be written or read."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What was there at a moment, signed."""

    count: int
    head: str
    at_ms: int
    key: str
    signature: str

    @property
    def said(self) -> bytes:
        """What is signed."""
        return f"hallkeeper audit {self.count} {self.head} {self.at_ms}".encode()


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    at_ms: int
    kind: str
    body: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `hallkeeper audit verify` says."""

    records: int
    checkpoints: int
    head: str
    broken_at: int | None = None
    """The first broken record, counted from 1."""
    why: str = ""
    unsigned: int = 0
    """Records after the last checkpoint: chained, not yet signed."""

    @property
    def whole(self) -> bool:
        """Nothing is broken."""
        return self.broken_at is None


def chained(before: str, record: bytes) -> str:
    """The hash of a record."""
    return hashlib.sha256(bytes.fromhex(before) + record).hexdigest()


class Audit:
    """Appends; every record is on disk when `append` returns. One process writes."""

    def __init__(self, path: Path, key: SigningKey | None, clock: Clock) -> None:
        """Opens or makes the file. Raises `AuditError`."""
        self.path = path
        self._key, self._clock = key, clock
        self._count, self._head, self.marks = _tail(path)
        self._signed_at_ms, self._signed_count = 0, 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise AuditError(f"{path}: {error.strerror}, try another data folder") from error

    def close(self) -> None:
        """Sign what is there and give the file back."""
        if self._count > self._signed_count:
            self._checkpoint()
        os.close(self._file)

    def append(self, kind: str, body: Any) -> None:
        """One record. Raises `AuditError`."""
        self._write([(kind, body)])
        self._sign_when_due()

    def take(self, marked: Sequence[tuple[int, str, bytes]]) -> None:
        """Events by an outbox's sequence, with their kind and JSON; what was written before is not written again."""
        new = [(mark, kind, value) for mark, kind, value in marked if mark > self.marks]
        if not new:
            return
        self._write([(kind, {"mark": mark, "event": msgspec.Raw(value)}) for mark, kind, value in new])
        self.marks = new[-1][0]
        self._sign_when_due()

    def _sign_when_due(self) -> None:
        due = self._clock.now_ms() - self._signed_at_ms >= CHECKPOINT_MS
        if due or self._count - self._signed_count >= CHECKPOINT_RECORDS:
            self._checkpoint()

    def _write(self, entries: Sequence[tuple[str, Any]]) -> None:
        """All of them with one sync; what the disk took in part is cut off again."""
        count, head, lines = self._count, self._head, b""
        for kind, body in entries:
            count += 1
            record = msgspec.json.encode({"n": count, "at_ms": self._clock.now_ms(), "kind": kind, "body": body})
            head = chained(head, record)
            lines += f"{head} ".encode() + record + b"\n"
        before = os.fstat(self._file).st_size
        try:
            _write_whole(self._file, lines)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise AuditError(f"{self.path}: {error.strerror}, try freeing the disk") from error
        self._count, self._head = count, head

    def _checkpoint(self) -> None:
        """Signed, in the chain, beside it, and in the log."""
        if self._key is None:
            return
        bare = Checkpoint(
            count=self._count, head=self._head, at_ms=self._clock.now_ms(), key=self._key.key_id, signature=""
        )
        point = msgspec.structs.replace(bare, signature=self._key.signature(bare.said).hex())
        self._write([("checkpoint", point)])
        self._signed_at_ms, self._signed_count = self._clock.now_ms(), self._count
        beside = self.path.with_name(CHECKPOINT_FILE)
        draft = beside.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(point))
        draft.replace(beside)
        log.debug("audit checkpoint", count=point.count, head=point.head, signature=point.signature)


def _write_whole(file: int, content: bytes) -> None:
    if os.write(file, content) != len(content):
        raise OSError(0, "written in part")
    os.fdatasync(file)


def verify(path: Path, trusted: Mapping[str, TrustedKey], beside: Checkpoint | None = None) -> Verdict:
    """Follow the chain from its first record. Raises `AuditError` where there is no file."""
    head, count, points, signed = NOTHING, 0, 0, 0
    doubted = None if beside is None else signature_fault(beside, trusted)
    for line in _lines(path):
        count += 1
        fault, head_now, record = _checked(line, head, count)
        if fault is None and record is not None and record.kind == "checkpoint":
            fault = _point_fault(record.body, trusted, count - 1, head)
            points, signed = points + 1, count
        if fault is not None:
            return Verdict(records=count, checkpoints=points, head=head, broken_at=count, why=fault)
        head = head_now
        if beside is not None and doubted is None and beside.count == count and beside.head != head:
            return Verdict(
                records=count, checkpoints=points, head=head, broken_at=count,
                why="the checkpoint beside the file was signed over another record",
            )  # fmt: skip
    why = _outside(beside, doubted, count)
    return Verdict(
        records=count,
        checkpoints=points,
        head=head,
        broken_at=count + 1 if why else None,
        why=why,
        unsigned=count - signed,
    )


def checkpoint_in(path: Path) -> Checkpoint | None:
    """A checkpoint that was kept apart; None where there is none. Raises `AuditError` where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise AuditError(f"{path}: no checkpoint ({error}), try the copy from the log") from error


def _checked(line: bytes, before: str, count: int) -> tuple[str | None, str, _Record | None]:
    """What is wrong with a line, its hash, and its record where that is asked for."""
    if not line.endswith(b"\n"):
        return "its line was never finished", before, None
    said, _, record = line[:-1].partition(b" ")
    head = chained(before, record)
    if said != head.encode():
        return "its hash does not fit the records before it", before, None
    if not record.startswith(b'{"n":%d,' % count):
        return "its number is not the next one", before, None
    if b'"kind":"checkpoint"' not in record[:80]:
        return None, head, None
    try:
        return None, head, msgspec.json.decode(record, type=_Record)
    except msgspec.MsgspecError:
        return "it cannot be read", before, None


def _point_fault(body: msgspec.Raw, trusted: Mapping[str, TrustedKey], count: int, head: str) -> str | None:
    try:
        point = msgspec.json.decode(body, type=Checkpoint)
    except msgspec.MsgspecError:
        return "its checkpoint cannot be read"
    if (point.count, point.head) != (count, head):
        return "its checkpoint speaks of other records"
    return signature_fault(point, trusted)


def signature_fault(point: Checkpoint, trusted: Mapping[str, TrustedKey]) -> str | None:
    """Why a checkpoint is not believed; None where it is."""
    key = trusted.get(point.key)
    if key is None:
        return f"its checkpoint is signed by the foreign key {point.key}"
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public, validate=True))
        public.verify(bytes.fromhex(point.signature), point.said)
    except (InvalidSignature, ValueError):
        return "its checkpoint's signature is forged"
    return None


def _outside(beside: Checkpoint | None, fault: str | None, count: int) -> str:
    if beside is None:
        return ""
    if fault is not None:
        return f"the checkpoint beside the file is not believed: {fault}"
    return f"the tail is cut off: {beside.count} records were signed" if beside.count > count else ""


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES):
                yield line
    except FileNotFoundError:
        raise AuditError(f"{path}: no audit, try the data folder of an installation that has run") from None


def _tail(path: Path) -> tuple[int, str, int]:
    """How many records there are, the last hash and the highest mark; a line that a crash left unfinished is cut off."""
    count, head, marks, whole = 0, NOTHING, 0, 0
    if not path.exists():
        return count, head, marks
    for line in _lines(path):
        if not line.endswith(b"\n"):
            log.warning("an unfinished record of the audit is cut off", file=str(path), record=count + 1)
            os.truncate(path, whole)
            break
        count, head, whole = count + 1, line[:64].decode("ascii", "replace"), whole + len(line)
        marks = max(marks, _mark(line))
    return count, head, marks


def _mark(line: bytes) -> int:
    found = line.find(b'"body":{"mark":', 0, 200)
    if found < 0:
        return 0
    digits = line[found + 15 : found + 35].partition(b",")[0].rstrip(b"}")
    return int(digits) if digits.isdigit() else 0
