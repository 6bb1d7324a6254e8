"""What the commands of named keys share: the options of a new key, and a key as it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import output
from keystead.cli.context import Context

if TYPE_CHECKING:
    from keystead.keys.named.model import KeyInfo

TYPES: Final = (
    "aes-256-gcm, aes-256-gcm-siv, chacha20-poly1305, hmac-sha-256/384/512, ed25519, ecdsa-p256/p384/p521/secp256k1, "
    "ecdh-p256/p384/p521, rsa-2048/3072/4096, ml-dsa-44/65/87, ml-kem-768/1024"
)


def new_key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a key is to be, of those that are made and those that are imported."""
    for option in (
        click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag it; again for more."),
        click.option("--description", default="", metavar="TEXT", help="What it is for, for people."),
        click.option("--exportable", is_flag=True, help="Let its material be taken out; never to be changed."),
        click.option("--usage", metavar="USE", help="What an RSA key is for: sign (default), encrypt or import."),
        click.option("--type", "kind", default="aes-256-gcm", metavar="TYPE", help=f"One of {TYPES}."),
    ):
        command = option(command)
    return command


def shown(context: Context, info: KeyInfo, sentence: str) -> None:
    """A key after a change: one document, or one sentence."""
    if context.json:
        output.document("named-key/1", **asdict(info))
    else:
        context.say(sentence)
