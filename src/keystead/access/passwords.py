"""Passwords: Argon2id, one at a time, and the same work whether or not there is such a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keystead.access.accounts import FailureRecord, UserRecord, locked_for
from keystead.access.binding import IdentityBinder
from keystead.access.logins import Grant, Refusal
from keystead.access.ports import AccountRows
from keystead.access.second_factor import SecondFactors, check_code
from keystead.access.token_text import Kind
from keystead.access.tokens import Holder, rules_of
from keystead.access.words import is_name
from keystead.crypto.kdf import Argon2Parameters, derive_from_passphrase
from keystead.crypto.mac import same
from keystead.crypto.material import random_bytes
from keystead.errors import UsageError

SALT_LENGTH: Final = 16
MIN_CHARACTERS: Final = 8
MAX_CHARACTERS: Final = 1024


class Passwords:
    """Derives what is kept of passwords. `cost` is what new ones are given."""

    def __init__(self, binder: Callable[[], IdentityBinder], cost: Argon2Parameters) -> None:
        problem = cost.problem()
        if problem:
            raise UsageError(f"the cost of passwords is out of bounds: {problem}", hint="see the settings password_...")
        self._binder = binder
        self._cost = cost

    def fresh(self, name: str, password: str) -> tuple[bytes, Argon2Parameters, bytes]:
        """A salt, the cost, and what to keep of a new password.

        Raises:
            UsageError: shorter than 8 characters, longer than 1,024, or no Unicode text.
        """
        check_password(password)
        if len(password) < MIN_CHARACTERS:
            raise UsageError(f"a password has at least {MIN_CHARACTERS} characters", hint="take four random words")
        salt = random_bytes(SALT_LENGTH)
        return salt, self._cost, self._verifier(name, password, salt, self._cost)

    def tried(self, name: str, password: str, user: UserRecord | None) -> bytes:
        """What would be kept of this password for this user; for nobody as well, at the same cost."""
        if user is None:
            return self._verifier(name, password, self._binder().hashed("decoy-salt", name)[:SALT_LENGTH], self._cost)
        return self._verifier(name, password, user.salt, user.cost)

    def _verifier(self, name: str, password: str, salt: bytes, cost: Argon2Parameters) -> bytes:
        derived = derive_from_passphrase(password, salt=salt, parameters=cost)
        # Keyed, so that the database alone does not allow to try passwords.
        return self._binder().hashed("password", name, derived)


def check_password(password: object) -> str:
    """The text itself, if it can be a password. Raises UsageError, which does not hold it."""
    if not isinstance(password, str) or not 1 <= len(password) <= MAX_CHARACTERS:
        raise UsageError(f"a password is text of 1 to {MAX_CHARACTERS} characters")
    return password


class PasswordAttempt:
    """Somebody's try at a name, after the slow work: decided in the transaction that counts it."""

    def __init__(self, method: PasswordMethod, name: str | None, verifier: bytes, code: str | None) -> None:
        self._method = method
        self._name = name
        self._verifier = verifier
        self._code = code
        self.target = "user/*" if name is None else f"user/{name}"

    def settle(self, transaction: Any, now_ms: int) -> Grant | Refusal:
        """What comes of it; a failure is counted, a success ends the count."""
        if self._name is None:
            return Refusal("malformed-name")
        rows, binder = self._method.rows(transaction), self._method.binder()
        failures = self._method.failures(rows, self._name)
        locked = 0 if failures is None else locked_for(failures, now_ms)
        if locked:
            return Refusal("locked", locked)
        user = self._method.user(rows, self._name)
        right = user is not None and same(user.verifier, self._verifier)
        # Both are looked at in any case, and a code is used up only beside the right password.
        looked = self._method.factors.look(user, self._code, now_ms)
        if user is None or not right or looked.why:
            self._method.factors.count(rows, self._name, failures, now_ms)
            return Refusal("wrong-password" if user is not None and not right else looked.why)
        rows.forget_failures(self._name)
        holder, shown = Holder(f"user:{self._name}", self._method.name), {}
        if looked.step is not None:
            user = binder.sealed(user, factor_step=looked.step)
            rows.put_user(user)
            holder = holder._replace(mfa_ms=now_ms)
            shown = {"second_factor": "totp", "row": user.mac[:16].hex()}
        return Grant(holder, rules_of(user.rules), Kind.PERSON, shown)


class PasswordMethod:
    """Login by user name and password. Failures are counted under the name, also where nobody has it."""

    name = "password"

    def __init__(
        self,
        passwords: Passwords,
        binder: Callable[[], IdentityBinder],
        read_rows: Callable[[], AccountRows],
        rows: Callable[[Any], AccountRows],
        factors: SecondFactors,
    ) -> None:
        self._passwords = passwords
        self._read_rows = read_rows
        self.binder = binder
        self.rows = rows
        self.factors = factors

    def prepare(self, credentials: dict[str, Any], source: str) -> PasswordAttempt:  # noqa: ARG002 - the Protocol's
        """Derive from the password, once, whoever the name is of, if anybody.

        Raises:
            UsageError: other credentials than `name`, `password` and perhaps `code`, or no possible ones.
        """
        if set(credentials) | {"code"} != {"name", "password", "code"}:
            raise UsageError("a login by password takes name and password, and code where there is a second factor")
        code = credentials.get("code")
        if code is not None:
            code = check_code(code)
        password = check_password(credentials["password"])
        given = credentials["name"]
        name = given if is_name(given) else None
        user = None if name is None else self._read_rows().user(name)
        if user is not None and not self.binder().is_authentic(user):
            user = None  # what was edited is told of when the attempt is settled, after the same work
        return PasswordAttempt(self, name, self._passwords.tried(name or "", password, user), code)

    def user(self, rows: AccountRows, name: str) -> UserRecord | None:
        """The user of a name. Raises IntegrityError."""
        record = rows.user(name)
        return None if record is None else self.binder().check(record, f"user {name}")

    def failures(self, rows: AccountRows, name: str) -> FailureRecord | None:
        """The count of a name. Raises IntegrityError."""
        record = rows.failures(name)
        return None if record is None else self.binder().check(record, f"the failed logins of {name}")
