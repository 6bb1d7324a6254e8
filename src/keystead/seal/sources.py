"""Finding the credential that opens a store: the first source that has one wins."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from keystead.errors import MasterKeyInvalid, MasterKeyMissing
from keystead.seal.credential import Credential, check_credential
from keystead.seal.master_key import MasterKey, fingerprint, parse_master_key
from keystead.seal.private_file import read_if_concerned, read_private
from keystead.seal.providers.passphrase import Passphrase

KEY_VARIABLE = "KMS_MASTER_KEY"
KEY_FILE_VARIABLE = "KMS_MASTER_KEY_FILE"
PASSPHRASE_FILE_VARIABLE = "KMS_PASSPHRASE_FILE"
PASSPHRASE_DESCRIPTOR_VARIABLE = "KMS_PASSPHRASE_FD"
KEY_FILE_NAME = "master.key"
MAX_CREDENTIAL_FILE = 8_192
MAX_DOTENV = 1_048_576
_DOTENV_LINE = re.compile(r"\s*(?:export\s+)?KMS_MASTER_KEY\s*=\s*(.*)")
_STANDARD_DESCRIPTORS = 2
_MISSING_HINT = (
    "set KMS_MASTER_KEY, or KMS_MASTER_KEY_FILE, to the store's master key; if it is lost, "
    "`keystead init --recover KIT` opens the store by its recovery kit; for a new store, "
    "`keystead generate-master-key` prints one"
)

_Probe = Callable[[], "Credential | str"]
"""A credential, or the words for what is there instead; raises MasterKeyInvalid for one that cannot be used."""


class FoundCredential(NamedTuple):
    """A credential and where it came from.

    `source` names the variable or file; `path` is the file, where it was one; `notes` tells of sources further down
    that disagree or cannot be used, never with a value.
    """

    credential: Credential
    source: str
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def beside(self, store_folder: Path) -> bool:
        """Whether the credential lies in the store's own folder, where whoever copies the one copies the other."""
        return self.path is not None and self.path.is_relative_to(store_folder.absolute())


class _Source(NamedTuple):
    name: str
    probe: _Probe
    path: Path | None = None


def find_credential(
    *,
    environment: Mapping[str, str],
    argument: str | Credential | None = None,
    store_folder: Path | None = None,
    project: Path | None = None,
    prompt: Callable[[], str] | None = None,
) -> FoundCredential:
    """The first credential there is, in the order: `argument` (base64 text of a master key, or a credential),
    KMS_MASTER_KEY, KMS_MASTER_KEY_FILE, the line `KMS_MASTER_KEY=` of the `.env` in `project` (else the folder that
    `store_folder` lies in), `master.key` in `store_folder`, a passphrase (KMS_PASSPHRASE_FILE, KMS_PASSPHRASE_FD,
    `prompt`).

    A variable that is set to nothing counts as given and is refused. `prompt` is called last and only if nothing else
    was found; give it only where somebody can answer.

    Raises:
        MasterKeyInvalid: the first source that has something has nothing usable: no later one takes its place.
        MasterKeyMissing: no source has anything; each is listed with what was found.
    """
    looked_at: list[str] = []
    keys = iter(tuple(_key_sources(argument, environment, store_folder, project)))
    for source in keys:
        result = source.probe()
        if isinstance(result, str):
            looked_at.append(f"{source.name}: {result}")
            continue
        notes = _disagreements(result, source, keys) + _unused_passphrases(environment)
        return FoundCredential(result, source.name, source.path, tuple(notes))
    for source in _passphrase_sources(environment, prompt):
        result = source.probe()
        if not isinstance(result, str):
            return FoundCredential(result, source.name, source.path)
        looked_at.append(f"{source.name}: {result}")
    raise MasterKeyMissing("no master key was found", looked_at=tuple(looked_at), hint=_MISSING_HINT)


def _key_sources(
    argument: str | Credential | None,
    environment: Mapping[str, str],
    store_folder: Path | None,
    project: Path | None,
) -> Iterator[_Source]:
    yield _Source("argument", lambda: _from_argument(argument))
    yield _Source(KEY_VARIABLE, lambda: _from_variable(environment))
    name, path = _named_file(KEY_FILE_VARIABLE, environment)
    yield _Source(name, lambda: _from_named_file(environment, name, path), path)
    if store_folder is not None:
        folder = store_folder.absolute()
        dotenv = (project or folder.parent).absolute() / ".env"
        yield _Source(str(dotenv), lambda: _from_dotenv(dotenv), dotenv)
        key_file = folder / KEY_FILE_NAME
        yield _Source(str(key_file), lambda: _from_key_file(key_file, str(key_file)), key_file)


def _passphrase_sources(environment: Mapping[str, str], prompt: Callable[[], str] | None) -> Iterator[_Source]:
    name, path = _named_file(PASSPHRASE_FILE_VARIABLE, environment)
    yield _Source(name, lambda: _from_passphrase_file(environment, name, path), path)
    yield _Source(PASSPHRASE_DESCRIPTOR_VARIABLE, lambda: _from_descriptor(environment))
    yield _Source(
        "passphrase prompt", lambda: "nobody to ask" if prompt is None else Passphrase(prompt(), source="the prompt")
    )


def _from_argument(argument: str | Credential | None) -> Credential | str:
    if argument is None:
        return "not given"
    return (
        parse_master_key(argument, source="the argument") if isinstance(argument, str) else check_credential(argument)
    )


def _from_variable(environment: Mapping[str, str]) -> MasterKey | str:
    text = environment.get(KEY_VARIABLE)
    return "not set" if text is None else parse_master_key(text, source=KEY_VARIABLE)


def _from_named_file(environment: Mapping[str, str], name: str, path: Path | None) -> MasterKey | str:
    if KEY_FILE_VARIABLE not in environment:
        return "not set"
    found = "it is set to nothing" if path is None else _from_key_file(path, name)
    if isinstance(found, str):
        raise _unusable(name, found, f"set it to a file's path (the key itself goes into {KEY_VARIABLE}), or unset it")
    return found


def _from_key_file(path: Path, source: str) -> MasterKey | str:
    data = read_private(path, limit=MAX_CREDENTIAL_FILE)
    if data is None:
        return "no such file"
    return parse_master_key(data.decode("utf-8", "surrogateescape"), source=source, from_file=True)


def _from_dotenv(path: Path) -> MasterKey | str:
    data = read_if_concerned(path, limit=MAX_DOTENV, concerns=lambda found: bool(_dotenv_values(found)))
    if isinstance(data, str):
        return data
    values = _dotenv_values(data)
    if not values:
        return f"no line {KEY_VARIABLE}="
    if len(values) > 1:
        raise _unusable(str(path), f"it has {len(values)} lines {KEY_VARIABLE}=", "leave the one line that counts")
    return parse_master_key(_unquoted(values[0]), source=f"{KEY_VARIABLE} in {path}")


def _dotenv_values(data: bytes) -> list[str]:
    lines = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    return [match[1] for line in lines if (match := _DOTENV_LINE.fullmatch(line.removesuffix("\r")))]


def _from_passphrase_file(environment: Mapping[str, str], name: str, path: Path | None) -> Passphrase | str:
    if PASSPHRASE_FILE_VARIABLE not in environment:
        return "not set"
    data = None if path is None else read_private(path, limit=MAX_CREDENTIAL_FILE)
    if data is None:
        problem = "it is set to nothing" if path is None else "no such file"
        raise _unusable(name, problem, "set it to a file's path, or unset it")
    return _passphrase(data, name)


def _from_descriptor(environment: Mapping[str, str]) -> Passphrase | str:
    text = environment.get(PASSPHRASE_DESCRIPTOR_VARIABLE)
    if text is None:
        return "not set"
    hint = "give the number of an open descriptor, as in `KMS_PASSPHRASE_FD=3 keystead status 3< FILE`"
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise _unusable(PASSPHRASE_DESCRIPTOR_VARIABLE, "it is no descriptor's number", hint)
    descriptor = int(text)
    data = b""
    try:
        if descriptor > _STANDARD_DESCRIPTORS:
            os.set_inheritable(descriptor, False)  # a child program could rewind it and read on
        while len(data) <= MAX_CREDENTIAL_FILE and (part := os.read(descriptor, MAX_CREDENTIAL_FILE)):
            data += part
    except OSError as error:
        raise _unusable(PASSPHRASE_DESCRIPTOR_VARIABLE, f"it cannot be read ({error.strerror})", hint) from None
    return _passphrase(data, PASSPHRASE_DESCRIPTOR_VARIABLE)


def _passphrase(data: bytes, source: str) -> Passphrase:
    """One line break at the end is the file's and not the passphrase's; nothing else is trimmed."""
    end = b"\r\n" if data.endswith(b"\r\n") else b"\n"
    return Passphrase(data.removesuffix(end).decode("utf-8", "surrogateescape"), source=source)


def _disagreements(credential: Credential, winner: _Source, others: Iterator[_Source]) -> list[str]:
    notes = []
    for source in others:
        try:
            other = source.probe()
        except MasterKeyInvalid as error:
            notes.append(f"{source.name} was not used and cannot be: {error.why or error.message}")
            continue
        if not isinstance(other, MasterKey):
            continue
        if not isinstance(credential, MasterKey):
            notes.append(f"{source.name} holds a master key that was not used: {winner.name} comes first")
        elif fingerprint(credential) != fingerprint(other):
            notes.append(
                f"{source.name} holds another master key (fingerprint {fingerprint(other)}) that was not used: "
                f"{winner.name} (fingerprint {fingerprint(credential)}) comes first"
            )
        other.forget()
    return notes


def _unused_passphrases(environment: Mapping[str, str]) -> list[str]:
    names = (PASSPHRASE_FILE_VARIABLE, PASSPHRASE_DESCRIPTOR_VARIABLE)
    return [f"{name} was not used: a master key comes first" for name in names if name in environment]


def _unquoted(value: str) -> str:
    value = value.rstrip(" \t")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def _named_file(variable: str, environment: Mapping[str, str]) -> tuple[str, Path | None]:
    """The source's name for messages, and the path that the variable gives.

    A path where nothing lies is not repeated: it may be a credential that was put into the wrong variable.
    """
    text = environment.get(variable)
    if not text:
        return variable, None
    path = Path(text).absolute()
    return (f"{variable} ({path})" if os.path.lexists(path) else variable), path


def _unusable(source: str, why: str, hint: str) -> MasterKeyInvalid:
    return MasterKeyInvalid(f"the credential from {source} cannot be used", why=why, hint=hint)
