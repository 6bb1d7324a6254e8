"""Each root-key provider keeps the published promises, and the formats are what docs/formats.md says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import Argon2Parameters
from keystead.crypto.material import KeyMaterial
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.errors import DecryptionError, IntegrityError, UsageError
from keystead.seal.credential import Credential
from keystead.seal.master_key import MasterKey
from keystead.seal.provider import RootKeyProvider, Slot, make_slot, open_slot, remake_slot, root_check
from keystead.seal.providers.key import MasterKeyProvider
from keystead.seal.providers.passphrase import Passphrase, PassphraseProvider
from keystead.seal.providers.recovery import RecoveryKit, RecoveryProvider
from keystead.seal.root import audit_mac_key, audit_signing_seed, head_mac_key, wrapping_key
from keystead.testing import check_root_key_provider

NOW = 1_700_000_000_000
CHEAP = Argon2Parameters(iterations=2, lanes=1, memory_kib=19_456)


def hkdf(key: bytes, *, salt: bytes, info: str) -> bytes:
    """RFC 5869 for 32 bytes, from the standard library alone."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def prefixed(*fields: str) -> bytes:
    return b"".join(len(field.encode()).to_bytes(4, "big") + field.encode() for field in fields)


def test_the_master_key_provider_conforms() -> None:
    keys: dict[int, MasterKey] = {}

    def make() -> RootKeyProvider:
        key = MasterKey(KeyMaterial.generate().view())
        provider = MasterKeyProvider.create(key)
        keys[id(provider)] = key
        return provider

    check_root_key_provider(make, reopen=lambda p: MasterKeyProvider.of_slot(keys[id(p)], p.metadata()))
    assert len(keys) == 2


def test_the_recovery_provider_conforms() -> None:
    kits: dict[int, RecoveryKit] = {}

    def make() -> RootKeyProvider:
        kit = RecoveryKit.generate(store_id="store_a")
        provider = RecoveryProvider.create(kit)
        kits[id(provider)] = kit
        return provider

    check_root_key_provider(make, reopen=lambda p: RecoveryProvider.of_slot(kits[id(p)], p.metadata()))
    assert len(kits) == 2


def test_the_passphrase_provider_conforms() -> None:
    words: dict[int, Passphrase] = {}

    def make() -> RootKeyProvider:
        passphrase = Passphrase(f"a passphrase, number {len(words)}")
        provider = PassphraseProvider.create(passphrase, parameters=CHEAP)
        words[id(provider)] = passphrase
        return provider

    check_root_key_provider(make, reopen=lambda p: PassphraseProvider.of_slot(words[id(p)], p.metadata()))
    assert len(words) == 2


class _Careless:
    """A provider with a fault of one's choosing."""

    kind = "careless"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.key = bytes(32) if fault == "one key for all" else bytes(KeyMaterial.generate().view())
        self.last = b""

    def metadata(self) -> Mapping[str, str | int]:
        return {"at": time.perf_counter_ns() if self.fault == "metadata that moves" else 0}

    def wrap(self, key: KeyMaterial, aad: bytes) -> bytes:
        if self.fault == "fixed nonce":
            return bytes(12) + AESGCM(self.key).encrypt(bytes(12), bytes(key.view()), aad)
        if self.fault == "key in the clear":
            return wrap_key(self.key, key, aad) + bytes(key.view())
        return wrap_key(self.key, key, b"" if self.fault == "AAD ignored" else aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> KeyMaterial:
        if self.fault == "fixed nonce":
            return KeyMaterial(AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], aad))
        try:
            return unwrap_key(self.key, wrapped[:61], b"" if self.fault == "AAD ignored" else aad)
        except DecryptionError:
            if self.fault == "refusal by a made-up key":
                return KeyMaterial.generate()
            raise


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("AAD ignored", "another AAD"),
        ("fixed nonce", "differ"),
        ("one key for all", "another credential"),
        ("key in the clear", "without the key"),
        ("metadata that moves", "same at each call"),
        ("refusal by a made-up key", "refused"),
        ("trailing bytes ignored", "a byte added"),
    ],
)
def test_the_conformance_suite_finds(fault: str, promise: str) -> None:
    with pytest.raises(AssertionError, match=promise):
        check_root_key_provider(lambda: _Careless(fault))


def test_a_provider_of_somebody_elses_making_opens_a_store(root: KeyMaterial, store_id: str) -> None:
    theirs = _Careless("none")
    slot = make_slot(root, theirs, store_id=store_id, label="theirs", now_ms=NOW)
    assert (slot.kind, slot.metadata) == ("careless", {"at": 0})
    opened = open_slot(slot, theirs, store_id=store_id, root_check=root_check(root))
    assert opened.view() == root.view()


def credentials() -> list[Credential]:
    return [
        MasterKey(KeyMaterial.generate().view()),
        RecoveryKit.generate(store_id="store_a"),
        Passphrase("correct horse battery staple"),
    ]


@pytest.mark.parametrize("credential", credentials(), ids=lambda credential: credential.kind)
def test_a_slot_yields_the_root_key_again(credential: Credential, root: KeyMaterial, store_id: str) -> None:
    slot = make_slot(root, credential, store_id=store_id, label="mine", now_ms=NOW)
    assert (slot.kind, slot.label, slot.created_ms) == (credential.kind, "mine", NOW)
    assert bytes(root.view()) not in slot.wrapped
    opened = open_slot(slot, credential, store_id=store_id, root_check=root_check(root))
    assert opened.view() == root.view()


def edits(slot: Slot) -> list[Slot]:
    wrapped = slot.wrapped
    return [
        replace(slot, id="slot_00000000"),
        replace(slot, label="yours"),
        replace(slot, created_ms=slot.created_ms + 1),
        *(
            replace(slot, wrapped=wrapped[:i] + bytes((wrapped[i] ^ 1,)) + wrapped[i + 1 :])
            for i in range(len(wrapped))
        ),
        replace(slot, wrapped=wrapped[:-1]),
        replace(slot, wrapped=b""),
        replace(slot, metadata={**slot.metadata, "salt": base64.b64encode(bytes(16)).decode()}),
        replace(slot, metadata={**slot.metadata, "fingerprint": "00000000"}),
    ]


@pytest.mark.parametrize("credential", credentials()[:2], ids=lambda credential: credential.kind)
def test_a_slot_with_anything_changed_does_not_open(credential: Credential, root: KeyMaterial, store_id: str) -> None:
    slot = make_slot(root, credential, store_id=store_id, label="mine", now_ms=NOW)
    for edited in edits(slot):
        with pytest.raises(DecryptionError):
            open_slot(edited, credential, store_id=store_id, root_check=root_check(root))
    with pytest.raises(DecryptionError):
        open_slot(slot, credential, store_id="store_of_another", root_check=root_check(root))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"salt": "AAAA", "fingerprint": "00000000"},
        {"salt": 7, "fingerprint": "00000000"},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAB==", "fingerprint": "00000000"},
        {"salt": "é" * 24, "fingerprint": "00000000"},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "fingerprint": "0000000G"},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "fingerprint": 12345678},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA==", "fingerprint": "00000000", "more": 1},
    ],
)
@pytest.mark.parametrize("credential", credentials()[:2], ids=lambda credential: credential.kind)
def test_malformed_metadata_is_told_apart(
    credential: Credential, metadata: dict[str, str | int], root: KeyMaterial, store_id: str
) -> None:
    slot = make_slot(root, credential, store_id=store_id, label="mine", now_ms=NOW)
    with pytest.raises(IntegrityError, match="metadata"):
        open_slot(replace(slot, metadata=metadata), credential, store_id=store_id, root_check=root_check(root))


def test_a_slot_of_another_root_key_is_refused(root: KeyMaterial, master_key: MasterKey, store_id: str) -> None:
    slot = make_slot(KeyMaterial.generate(), master_key, store_id=store_id, label="old", now_ms=NOW)
    with pytest.raises(IntegrityError, match="not this store's root key"):
        open_slot(slot, master_key, store_id=store_id, root_check=root_check(root))


def test_a_slot_is_not_tried_with_a_credential_of_another_kind(
    root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    slot = make_slot(root, master_key, store_id=store_id, label="mine", now_ms=NOW)
    kit = RecoveryKit(KeyMaterial(master_key.view()), store_id=store_id)
    with pytest.raises(UsageError, match="recovery"):
        open_slot(slot, kit, store_id=store_id, root_check=root_check(root))
    with pytest.raises(DecryptionError):  # nor would its bytes open it under the other kind's label
        open_slot(replace(slot, kind="recovery"), kit, store_id=store_id, root_check=root_check(root))


def test_rekey_keeps_a_slots_name_and_changes_what_it_holds(
    root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    before = make_slot(root, master_key, store_id=store_id, label="mine", now_ms=NOW)
    fresh = KeyMaterial.generate()
    after = remake_slot(before, fresh, master_key, store_id=store_id)
    assert (after.id, after.kind, after.label, after.created_ms) == (before.id, before.kind, before.label, NOW)
    assert after.metadata["salt"] != before.metadata["salt"]
    assert open_slot(after, master_key, store_id=store_id, root_check=root_check(fresh)).view() == fresh.view()
    with pytest.raises(IntegrityError):  # the old row put back yields the old root key
        open_slot(before, master_key, store_id=store_id, root_check=root_check(fresh))


@pytest.mark.parametrize("label", ["", " x", "x ", "a\nb", "a\x1b[31m", "\u202e", "x" * 65])
def test_a_label_that_cannot_be_shown_is_refused(
    label: str, root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    with pytest.raises(UsageError, match="label"):
        make_slot(root, master_key, store_id=store_id, label=label, now_ms=NOW)


def test_a_master_key_slot_opens_by_its_written_format_alone(
    root: KeyMaterial, master_key: MasterKey, store_id: str
) -> None:
    slot = make_slot(root, master_key, store_id=store_id, label="mine", now_ms=NOW)
    salt, mark = str(slot.metadata["salt"]), str(slot.metadata["fingerprint"])
    key = bytes(master_key.view())
    assert hkdf(key, salt=b"", info="keystead/slot/master-key/fingerprint").hex()[:8] == mark
    wrapping = hkdf(key, salt=base64.b64decode(salt), info="keystead/slot/master-key")
    aad = b"\x01" + prefixed("slot", store_id, slot.id, "master-key", "mine", str(NOW))
    aad += prefixed("fingerprint", "text", mark, "salt", "text", salt)
    plain = AESGCM(wrapping).decrypt(slot.wrapped[1:13], slot.wrapped[13:], aad)
    assert slot.wrapped[0] == 1
    assert plain == bytes(root.view())


def test_what_comes_from_the_root_key_is_as_written(root: KeyMaterial) -> None:
    key = bytes(root.view())
    derived = {
        "keystead/root/check": root_check(root),
        "keystead/root/wrap": bytes(wrapping_key(root).view()),
        "keystead/root/mac": bytes(head_mac_key(root).view()),
        "keystead/audit/mac": audit_mac_key(root),
        "keystead/audit/sign": audit_signing_seed(root),
    }
    assert derived == {label: hkdf(key, salt=b"", info=label) for label in derived}
    assert len(set(derived.values())) == 5
    assert hashlib.sha256(key).digest() not in derived.values()
