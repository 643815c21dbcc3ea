"""Backup and restore of what an installation decides by: ledgers, journals, audit, switches and proofs; one archive, checked.

Databases are copied by SQLite itself, so that a running service may write meanwhile. What is left out comes back by itself or
is another's to keep: the bus, windows, locks, sockets. A ledger that is restored and older than its topic makes its service
observe and say why; nothing in the archive can make it act on what it does not remember.
"""

import hashlib
import io
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fleet.errors import HallkeeperError
from remediator.durable import sync_folder, write_durably
from remediator.ledger_schema import VERSION
from remediator.switches import LOCKOUT_FILE, STOP_FILE
from remediator.wiring import QUARANTINE

MANIFEST = "manifest.json"
DATABASES = ("ledger.sqlite", "protective.sqlite", "actuator-corrective.sqlite", "actuator-protective.sqlite")
SWITCHES = (LOCKOUT_FILE, STOP_FILE, QUARANTINE)
"""What holds back: where it is there now it is newer than any backup, and a restore never takes a lock away."""
FILES = ("audit.log", "audit.checkpoint", "backtests.json", "commissioned.json", *SWITCHES)
ARCHIVE_BYTES = 8 << 30
"""The largest file of an archive that is unpacked."""


class SafekeepingError(HallkeeperError):
    """A backup cannot be made, or not be believed."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    made_at_ms: int
    ledger_version: int
    files: tuple[Kept, ...]


def backup(data: Path, archive: Path, now_ms: int) -> Manifest:
    """Everything into one file, 0600, whole or not at all. Raises `SafekeepingError`."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        for name in DATABASES:
            if (data / name).exists():
                _copy_database(data / name, Path(folder) / name)
        for name in FILES:
            if (data / name).exists():
                (Path(folder) / name).write_bytes((data / name).read_bytes())
        kept = tuple(_kept(path) for path in sorted(Path(folder).iterdir()))
        if not kept:
            raise SafekeepingError(f"{data}: nothing to keep, try the data folder of an installation that has run")
        manifest = Manifest(made_at_ms=now_ms, ledger_version=VERSION, files=kept)
        draft = Path(folder) / "archive"
        with tarfile.open(draft, "w:gz") as tar:
            _add(tar, MANIFEST, msgspec.json.encode(manifest))
            for entry in kept:
                tar.add(Path(folder) / entry.name, arcname=entry.name)
        draft.chmod(0o600)
        draft.replace(archive)
    return manifest


def restore(archive: Path, data: Path, *, replaces: bool = False) -> Manifest:
    """Everything back, after all of it was checked; nothing is written over unless `replaces`. Raises `SafekeepingError`."""
    contents = dict(_contents(archive))
    manifest = _manifest(contents.pop(MANIFEST, b""), archive)
    if manifest.ledger_version > VERSION:
        raise SafekeepingError(
            f"{archive}: written by a newer release (ledger {manifest.ledger_version}), try that one"
        )
    for entry in manifest.files:
        if hashlib.sha256(contents.get(entry.name, b"")).hexdigest() != entry.sha256:
            raise SafekeepingError(f"{archive}: {entry.name} is damaged, nothing was restored; try another backup")
    there = [entry.name for entry in manifest.files if (data / entry.name).exists()]
    if there and not replaces:
        raise SafekeepingError(f"{data} holds {', '.join(there)} already, try --replace once its services are stopped")
    data.mkdir(parents=True, exist_ok=True)
    for entry in manifest.files:
        if entry.name not in SWITCHES or not (data / entry.name).exists():
            _put(data / entry.name, contents[entry.name])
    return manifest


def _copy_database(source: Path, target: Path) -> None:
    try:
        read = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=10.0)
        write = sqlite3.connect(target)
        try:
            read.backup(write)
            (said,) = write.execute("PRAGMA integrity_check").fetchone()
        finally:
            read.close()
            write.close()
    except sqlite3.Error as error:
        raise SafekeepingError(f"{source}: {error}, try again") from error
    if said != "ok":
        raise SafekeepingError(f"{source} is damaged: {said}; try its last backup")


def _kept(path: Path) -> Kept:
    content = path.read_bytes()
    return Kept(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, io.BytesIO(content))


def _contents(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files that a backup may hold; any other name is none of ours."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for entry in tar:
                if not entry.isfile() or entry.name not in {MANIFEST, *DATABASES, *FILES} or entry.size > ARCHIVE_BYTES:
                    raise SafekeepingError(
                        f"{archive}: {entry.name[:80]!r} belongs into no backup, nothing was restored"
                    )
                file = tar.extractfile(entry)
                yield entry.name, b"" if file is None else file.read()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise SafekeepingError(f"{archive}: no backup ({error}), try another file") from error


def _manifest(content: bytes, archive: Path) -> Manifest:
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise SafekeepingError(f"{archive}: its manifest is missing or damaged, try another backup") from error


def _put(path: Path, content: bytes) -> None:
    """Written whole before anything is taken away; a database's own journal files go with what it was."""
    draft = path.with_name(f"{path.name}.restoring")
    write_durably(draft, content)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    draft.replace(path)
    sync_folder(path.parent)
