"""Named keys against data keys, against the bare library with its objects kept, and many at once against one by one."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bench.cases_ciphers import AAD, refuses, same
from bench.harness import Contender, race
from bench.lab import Lab
from bench.report import Row, ahead, size, within
from keystead.node.settings import Settings

TITLE = "Named keys (CPU of one call, or of one item of a batch)"
SIZES = (64, 1024)
ITEMS = 1_000
MESSAGE = os.urandom(64)
OTHER = bytes(64)
PSS = padding.PSS(padding.MGF1(SHA256()), 32)


class Bare(NamedTuple):
    """The least that Python can do: the library's own objects, made once."""

    protect: Callable[[bytes], bytes]
    check: Callable[[bytes, bytes], object]


def documented_hmac(material: bytes) -> Bare:
    """As the library's documentation shows it: an object for each message."""

    def mac(message: bytes) -> bytes:
        made = HMAC(material, SHA256())
        made.update(message)
        return made.finalize()

    def check(tag: bytes, message: bytes) -> None:
        made = HMAC(material, SHA256())
        made.update(message)
        made.verify(tag)

    return Bare(mac, check)


def copied_hmac(material: bytes) -> Bare:
    """One keyed object, copied for each message."""
    keyed = HMAC(material, SHA256())

    def mac(message: bytes) -> bytes:
        made = keyed.copy()
        made.update(message)
        return made.finalize()

    def check(tag: bytes, message: bytes) -> None:
        made = keyed.copy()
        made.update(message)
        made.verify(tag)

    return Bare(mac, check)


def bare_signer(kind: str, material: bytes) -> Bare:
    """A private and a public key, and with what they sign."""
    private: Any = load_der_private_key(material, None)
    public = private.public_key()
    if kind == "ed25519":
        return Bare(private.sign, public.verify)
    how = (ec.ECDSA(SHA256()),) if kind.startswith("ecdsa") else (PSS, SHA256())
    return Bare(lambda message: private.sign(message, *how), lambda made, message: public.verify(made, message, *how))


def encryption(kms: Any, length: int) -> list[Row]:
    """Both directions under a named key and under the data key, with the same bytes bound."""
    keys, data = kms.keys, os.urandom(length)
    named, bare = keys.encrypt("orders", data, context=AAD), kms.encrypt(data, aad=AAD)
    assert refuses(lambda: keys.decrypt("orders", named, context=b"user:43")), "opens under another context"
    timings = race(
        [
            Contender(
                "named encrypts",
                lambda: keys.encrypt("orders", data, context=AAD),
                lambda out: same(keys.decrypt("orders", out, context=AAD), data),
            ),
            Contender(
                "data key encrypts",
                lambda: kms.encrypt(data, aad=AAD),
                lambda out: same(kms.decrypt(out, aad=AAD), data),
            ),
            Contender(
                "named decrypts", lambda: keys.decrypt("orders", named, context=AAD), lambda out: same(out, data)
            ),
            Contender("data key decrypts", lambda: kms.decrypt(bare, aad=AAD), lambda out: same(out, data)),
        ]
    )
    return [
        within(f"`keys.{name}`, {size(length)}", mine.cpu, f"`kms.{name}`", other.cpu, times=1.2)
        for name, mine, other in (("encrypt", *timings[:2]), ("decrypt", *timings[2:]))
    ]


def proof(keys: Any, kind: str) -> list[Row]:
    """Making and checking what proves origin. Each side's result must pass the other's check, and only for its text."""
    keys.create(kind, type=kind, exportable=True)
    material = keys.export(kind).material
    made, checked = (keys.mac, keys.verify_mac) if kind.startswith("hmac") else (keys.sign, keys.verify)
    peers = {"bare library": documented_hmac(material), "a copied object": copied_hmac(material)}
    if not kind.startswith("hmac"):
        peers = {"bare library": bare_signer(kind, material)}
    mine = made(kind, MESSAGE)[0]
    contenders = [
        Contender(
            "makes", lambda: made(kind, MESSAGE), lambda out: peers["bare library"].check(out[0], MESSAGE) is None
        ),
        Contender("checks", lambda: checked(kind, MESSAGE, mine), bool),
    ]
    for name, peer in peers.items():
        assert not checked(kind, OTHER, peer.protect(MESSAGE)), f"{kind} takes another message"
        assert refuses(partial(peer.check, mine, OTHER)), f"the library takes another message by {kind}"
        contenders += [
            Contender(f"{name} makes", partial(peer.protect, MESSAGE), lambda out: checked(kind, MESSAGE, out)),
            Contender(f"{name} checks", partial(peer.check, mine, MESSAGE), lambda out: out is None),
        ]
    ours, theirs = race(contenders), iter(peers)
    pairs = zip(ours[2::2], ours[3::2], theirs, strict=True)
    return [
        within(
            f"`keys.{call.__name__}`, {kind}", one.cpu, name, other.cpu, times=1.3 if name == "bare library" else None
        )
        for makes, checks, name in pairs
        for call, one, other in ((made, ours[0], makes), (checked, ours[1], checks))
    ]


def batches(keys: Any, how: str = "") -> list[Row]:
    """A thousand in one call, by the item, beside single calls of the same."""
    messages = [os.urandom(64) for _ in range(ITEMS)]
    sealing = [{"data": message, "context": AAD} for message in messages]
    hashing = [{"message": message} for message in messages]

    def opened(out: Any) -> bool:
        return [keys.decrypt("orders", item.value, context=AAD) for item in out] == messages

    def proved(out: Any) -> bool:
        return all(
            keys.verify_mac("hmac-sha-256", message, item.value.mac)
            for message, item in zip(messages, out, strict=True)
        )

    one, many, mac, macs = race(
        [
            Contender("encrypts", lambda: keys.encrypt("orders", MESSAGE, context=AAD), bool),
            Contender("encrypts many", lambda: keys.batch("encrypt", "orders", sealing), opened),
            Contender("MACs", lambda: keys.mac("hmac-sha-256", MESSAGE), bool),
            Contender("MACs many", lambda: keys.batch("mac", "hmac-sha-256", hashing), proved),
        ]
    )
    return [
        ahead(f"an encryption in a batch of 1,000{how}", many.cpu / ITEMS, "single call", one.cpu, times=3),
        ahead(f"a MAC in a batch of 1,000{how}", macs.cpu / ITEMS, "single call", mac.cpu, times=3),
    ]


def rows(lab: Lab) -> list[Row]:
    """All of it."""
    with lab.connection("keys") as connection:
        kms = connection.kms
        kms.keys.create("orders")
        found = [row for length in SIZES for row in encryption(kms, length)]
        for kind in ("hmac-sha-256", "ed25519", "ecdsa-p256", "rsa-2048"):
            found += proof(kms.keys, kind)
        found += batches(kms.keys)
    # As a server has it, and a store whose settings ask for it: no use without a record of its own.
    with lab.connection("recorded", settings=Settings(record_each_use=True)) as connection:
        connection.kms.keys.create("orders")
        connection.kms.keys.create("hmac-sha-256", type="hmac-sha-256")
        return found + batches(connection.kms.keys, ", each use recorded")
