"""Named keys in use: from stdin to stdout."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.services.kms import KMSService

_LIMIT: Final = 64 * 1024 * 1024
_INVALID: Final = 7


def add_to(group: click.Group) -> None:
    """Put these commands into the group of named keys."""
    for command in (encrypt, decrypt, reencrypt, owner, sign, verify, mac, data_key, derive, public):
        group.add_command(command)


def _context_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--context", "bound", multiple=True, metavar="KEY=VALUE", help="Bind to this; again for more.")(
        command
    )


def version_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--version N`."""
    return click.option("--version", "number", type=int, metavar="N", help="This version of the key.")(command)


def _algorithm_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--algorithm", metavar="NAME", help="Not the first that the key's type has.")(command)


def _pairs(bound: tuple[str, ...]) -> dict[str, str] | None:
    return entry.pairs(bound, "--context") or None


def stdin_data() -> bytes:
    """All of stdin. Raises UsageError where that is too much."""
    data = entry.stdin().read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise UsageError(f"stdin has more than {_LIMIT} bytes", hint="encrypt it under a data key: key data-key")
    return data


def as_text(blob: bytes) -> str:
    """A ciphertext on one line: `ks2_` text, or the base64 of an RSA block."""
    from keystead.crypto.compact import MAGIC, to_text

    return to_text(blob) if blob[:3] == MAGIC[:3] else b64encode(blob).decode()


def ciphertext(data: bytes) -> bytes:
    """A ciphertext of the text that `as_text` gives. Raises UsageError, EnvelopeError."""
    from keystead.crypto.compact import TEXT_PREFIX, from_text

    text = data.strip()
    if text.startswith(TEXT_PREFIX.encode()):
        return from_text(text.decode("latin-1"))
    return from_base64(text, "what is on stdin")


def from_base64(text: bytes | str, what: str) -> bytes:
    """Bytes of standard base64. Raises UsageError, which names `what`."""
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        pass
    raise UsageError(f"{what} is neither base64 nor ks2_ text")


def answer(context: Context, schema: str, data: bytes | str, **more: Any) -> None:
    """Text, or bytes as base64, on one line or in a document."""
    text = data if isinstance(data, str) else b64encode(data).decode()
    if context.json:
        output.document(schema, **{"value": text, **more})
    else:
        click.echo(text)


@click.command()
@click.argument("name")
@_context_option
@version_option
@_algorithm_option
@global_options
@pass_context
def encrypt(context: Context, name: str, bound: tuple[str, ...], number: int | None, algorithm: str | None) -> None:
    """Encrypt stdin under a key, to one line of text."""
    data = stdin_data()
    with context.kms() as kms:
        blob = kms.keys.encrypt(name, data, context=_pairs(bound), version=number, algorithm=algorithm)
    answer(context, "ciphertext/1", as_text(blob))


@click.command()
@click.argument("name")
@_context_option
@version_option
@_algorithm_option
@global_options
@pass_context
def decrypt(context: Context, name: str, bound: tuple[str, ...], number: int | None, algorithm: str | None) -> None:
    """Decrypt what encrypt wrote. The plaintext goes to stdout as it is."""
    blob = ciphertext(stdin_data())
    with context.kms() as kms:
        plaintext = kms.keys.decrypt(name, blob, context=_pairs(bound), version=number, algorithm=algorithm)
    if context.json:
        output.document("plaintext/1", value=b64encode(plaintext).decode())
    else:
        output.write_bytes(plaintext)


@click.command()
@click.argument("name")
@click.option("--to", metavar="NAME", help="Under this key (default: the same).")
@_context_option
@click.option("--to-context", "bound_then", multiple=True, metavar="KEY=VALUE", help="Bind to this in its place.")
@_algorithm_option
@click.option("--to-algorithm", metavar="NAME", help="The same for the key that encrypts.")
@global_options
@pass_context
def reencrypt(
    context: Context,
    name: str,
    to: str | None,
    bound: tuple[str, ...],
    bound_then: tuple[str, ...],
    algorithm: str | None,
    to_algorithm: str | None,
) -> None:
    """Encrypt a ciphertext anew. The newest version is used, and nobody sees what it holds."""
    from keystead.secrets.labels import KEEP

    blob = ciphertext(stdin_data())
    with context.kms() as kms:
        made = kms.keys.reencrypt(
            name,
            blob,
            to=to,
            context=_pairs(bound),
            to_context=entry.pairs(bound_then, "--to-context") or KEEP,
            algorithm=algorithm,
            to_algorithm=to_algorithm,
        )
    answer(context, "ciphertext/1", as_text(made))


@click.command()
@global_options
@pass_context
def owner(context: Context) -> None:
    """Say which key a ciphertext is of. It is on stdin, and no RSA block."""
    blob = ciphertext(stdin_data())
    with context.kms() as kms:
        found = kms.keys.owner(blob)
    if context.json:
        output.document("named-key/1", **asdict(found))
    else:
        click.echo(found.name)


@click.command()
@click.argument("name")
@version_option
@_algorithm_option
@click.option("--prehashed", is_flag=True, help="stdin is the message's digest.")
@global_options
@pass_context
def sign(context: Context, name: str, number: int | None, algorithm: str | None, prehashed: bool) -> None:
    """Sign stdin; the signature is one line of base64."""
    message = stdin_data()
    with context.kms() as kms:
        made = kms.keys.sign(name, message, algorithm=algorithm, version=number, prehashed=prehashed)
    answer(context, "signature/1", made.signature, version=made.version, algorithm=made.algorithm)


@click.command()
@click.argument("name")
@click.argument("signature")
@version_option
@_algorithm_option
@click.option("--prehashed", is_flag=True, help="stdin is the message's digest.")
@click.option("--mac", "is_mac", is_flag=True, help="SIGNATURE is a MAC.")
@global_options
@pass_context
def verify(
    context: Context,
    name: str,
    signature: str,
    number: int | None,
    algorithm: str | None,
    prehashed: bool,
    is_mac: bool,
) -> None:
    """Verify a signature of stdin. SIGNATURE is base64; the exit code is 7 where it is not one."""
    message, given = stdin_data(), from_base64(signature, "SIGNATURE")
    with context.kms() as kms:
        good = _verified(kms, name, (message, given), number, algorithm, prehashed=prehashed, is_mac=is_mac)
    if context.json:
        output.document("verified/1", valid=good)
    else:
        context.say("valid" if good else "not valid")
    if not good:
        raise click.exceptions.Exit(_INVALID)


def _verified(
    kms: KMSService,
    name: str,
    both: tuple[bytes, bytes],
    number: int | None,
    algorithm: str | None,
    *,
    prehashed: bool,
    is_mac: bool,
) -> bool:
    if is_mac:
        return kms.keys.verify_mac(name, *both, version=number)
    return kms.keys.verify(name, *both, algorithm=algorithm, version=number, prehashed=prehashed)


@click.command()
@click.argument("name")
@version_option
@global_options
@pass_context
def mac(context: Context, name: str, number: int | None) -> None:
    """MAC stdin; the code is one line of base64."""
    message = stdin_data()
    with context.kms() as kms:
        made = kms.keys.mac(name, message, version=number)
    answer(context, "mac/1", made.mac, version=made.version)


@click.command("data-key")
@click.argument("name")
@click.option("--length", type=int, default=32, show_default=True, help="1 to 1,024 bytes.")
@click.option("--pair", metavar="TYPE", help="A key pair of this type, such as ecdsa-p256.")
@click.option("--without-plaintext", is_flag=True, help="Give only the encrypted form.")
@_context_option
@global_options
@pass_context
def data_key(
    context: Context, name: str, length: int, pair: str | None, without_plaintext: bool, bound: tuple[str, ...]
) -> None:
    """Make a key for data elsewhere. It comes as one document, in the clear and encrypted."""
    with context.kms() as kms:
        keys, with_plaintext, pairs = kms.keys, not without_plaintext, _pairs(bound)
        if pair is None:
            made = keys.generate_data_key(name, length=length, context=pairs, with_plaintext=with_plaintext)
        else:
            made = keys.generate_data_key_pair(name, pair, context=pairs, with_plaintext=with_plaintext)
    parts = {"plaintext": made.plaintext, "public": made.public}
    shown = {part: b64encode(data).decode() for part, data in parts.items() if data is not None}
    output.document("data-key/1", ciphertext=as_text(made.ciphertext), **shown)


@click.command()
@click.argument("name")
@click.option("--length", type=int, default=32, show_default=True, help="16 to 8,160 bytes.")
@_context_option
@version_option
@global_options
@pass_context
def derive(context: Context, name: str, length: int, bound: tuple[str, ...], number: int | None) -> None:
    """Derive bytes from a key and --context. They are base64, and nothing else gives them."""
    with context.kms() as kms:
        derived = kms.keys.derive(name, _pairs(bound), length=length, version=number)
    answer(context, "derived/1", derived)


@click.command()
@click.argument("name")
@version_option
@global_options
@pass_context
def public(context: Context, name: str, number: int | None) -> None:
    """Print the public key as PEM."""
    with context.kms() as kms:
        found = kms.keys.public_key(name, version=number)
    if context.json:
        output.document("public-key/1", pem=found.pem, der=b64encode(found.der).decode(), version=found.version)
    else:
        click.echo(found.pem.rstrip("\n"))
