"""Signatures: who may say it, whether he said it, and whether it still holds."""

import json
import stat

import pytest

from bus.events import CommandEvent, encode_event
from bus.port import Record
from bus.signing import (
    BadSignature,
    Expired,
    Foreign,
    Forged,
    KeyFileError,
    NotEntitled,
    SigningKey,
    TrustedKey,
    Unsigned,
    sign,
    verify,
)
from fleet.errors import SecretError
from fleet.secrets import Secrets

NOW = 1_700_000_000_000
KEY = SigningKey.from_seed(bytes(range(32)))
TRUSTED = {KEY.key_id: KEY.trusted("operator", "J. Smith")}


def record(value: bytes | None = b"value", headers=()) -> Record:
    return Record("commands", 0, 17, "r01", value, tuple(headers), NOW)


def command(expires_at_ms: int | None) -> bytes:
    return encode_event(
        CommandEvent(
            command_id="c", kind="approve", subject="r01", actor="a", role="operator", reason="", at_ms=NOW,
            expires_at_ms=expires_at_ms,
        )
    )  # fmt: skip


def test_a_signed_record_is_believed():
    assert verify(record(headers=sign(b"value", KEY)), TRUSTED, NOW) == KEY.key_id


def test_the_signature_is_ed25519_over_the_bytes_alone():
    assert sign(b"value", KEY) == sign(b"value", SigningKey.from_seed(bytes(range(32))))
    (name, signature), (key, key_id) = sign(b"value", KEY)
    assert (name, len(signature), key, key_id) == ("hk-signature", 64, "hk-key", KEY.key_id.encode())


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], Unsigned),
        ([("hk-signature", b"x" * 64)], Unsigned),
        ([("hk-key", KEY.key_id.encode())], Unsigned),
        (sign(b"value", SigningKey.generate()), Foreign),
        ([("hk-signature", b"x" * 64), ("hk-key", b"\xff" * 9999)], Foreign),
        (sign(b"another", KEY), Forged),
        ([("hk-signature", b""), ("hk-key", KEY.key_id.encode())], Forged),
        ([("hk-signature", b"x" * 65), ("hk-key", KEY.key_id.encode())], Forged),
    ],
)
def test_unsigned_foreign_and_forged_records_are_refused_by_name(headers, error):
    with pytest.raises(error, match=r"commands\[0\]@17 'r01'"):
        verify(record(headers=headers), TRUSTED, NOW)


def test_every_flipped_bit_of_value_and_signature_is_seen():
    (name, signature), key = sign(b"value", KEY)
    for position in range(8 * 5):
        value = bytearray(b"value")
        value[position // 8] ^= 1 << position % 8
        with pytest.raises(Forged):
            verify(record(bytes(value), [(name, signature), key]), TRUSTED, NOW)
    for position in range(8 * 64):
        flipped = bytearray(signature)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(Forged):
            verify(record(b"value", [(name, bytes(flipped)), key]), TRUSTED, NOW)


def test_a_role_that_may_not_say_it_is_refused():
    signed = record(headers=sign(b"value", KEY))
    assert verify(signed, TRUSTED, NOW, roles={"operator", "admin"})
    with pytest.raises(NotEntitled, match=r"J\. Smith is operator, it takes service"):
        verify(signed, TRUSTED, NOW, roles={"service"})


def test_an_expired_key_no_longer_speaks_but_its_history_stands():
    trusted = {KEY.key_id: TrustedKey(public=KEY.public, role="service", name="old", expires_at_ms=NOW + 10)}
    signed = record(headers=sign(b"value", KEY))
    assert verify(signed, trusted, signed.at_ms)
    with pytest.raises(Expired, match="'old' has expired"):
        verify(signed, trusted, NOW + 10)


def test_a_command_past_its_own_expiry_is_refused():
    value = command(NOW + 1000)
    assert verify(record(value, sign(value, KEY)), TRUSTED, NOW + 999)
    with pytest.raises(Expired, match="by its own word"):
        verify(record(value, sign(value, KEY)), TRUSTED, NOW + 1000)
    endless = command(None)
    assert verify(record(endless, sign(endless, KEY)), TRUSTED, NOW * 2)


def test_a_tombstone_is_unsigned_whatever_its_headers():
    with pytest.raises(Unsigned):
        verify(record(None, sign(b"", KEY)), TRUSTED, NOW)


def test_a_broken_trusted_key_is_no_trusted_key():
    for public in ("not base64", "AAAA"):
        with pytest.raises(BadSignature, match="is not a public key"):
            verify(record(headers=sign(b"value", KEY)), {KEY.key_id: TrustedKey(public=public, role="admin")}, NOW)


def test_a_key_file_is_written_for_its_owner_alone_and_read_back(tmp_path):
    path = tmp_path / "keys" / "service.yaml"
    key = SigningKey.generate()
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).key_id == key.key_id


def test_a_key_is_never_overwritten(tmp_path):
    KEY.save(tmp_path / "key.yaml")
    with pytest.raises(KeyFileError, match="never overwritten"):
        SigningKey.generate().save(tmp_path / "key.yaml")
    assert SigningKey.load(tmp_path / "key.yaml").key_id == KEY.key_id


def test_a_key_that_others_can_read_is_refused(tmp_path):
    KEY.save(tmp_path / "key.yaml")
    (tmp_path / "key.yaml").chmod(0o640)
    with pytest.raises(SecretError, match="chmod 0600"):
        SigningKey.load(tmp_path / "key.yaml")


@pytest.mark.parametrize(
    "change", [{"private": "AAAA"}, {"key": "0" * 16}, {"public": "AAAA"}, {"private": "!" * 44}, {"more": "x"}]
)
def test_a_key_file_whose_parts_do_not_belong_together_is_refused_without_showing_it(tmp_path, change):
    KEY.save(tmp_path / "key.yaml")
    stored = json.loads((tmp_path / "key.yaml").read_text())
    (tmp_path / "key.yaml").write_text(json.dumps(stored | change))
    with pytest.raises(SecretError) as raised:
        SigningKey.load(tmp_path / "key.yaml")
    assert stored["private"] not in str(raised.value)


def test_a_key_comes_out_of_a_secret_and_never_shows_itself(tmp_path):
    KEY.save(tmp_path / "key.yaml")
    stored = json.loads((tmp_path / "key.yaml").read_text())
    assert SigningKey.of(Secrets(stored)).key_id == KEY.key_id
    assert repr(KEY) == f"SigningKey({KEY.key_id})"
