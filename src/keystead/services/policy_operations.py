"""`kms.policies`: what principals may do, and trying out what a policy would say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from keystead.clock import parse_duration
from keystead.errors import UsageError
from keystead.services.paging import Page
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.access.explain import Access, Explanation
    from keystead.access.stored import PolicyInfo
    from keystead.node.policies import PolicyManager
    from keystead.node.policy_trials import PolicyTrials, Supposed


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a trial supposes of the session and of the call.

    `method` and `source` are how the session would be proved and where it comes from; `mfa_age` how long ago a second
    factor was shown (a duration; None: never); `tags` are those of the resource, `context` the encryption context
    (None: the call brings none); `at` is the moment (a datetime with its zone, or text such as `2026-11-24T08:00:00Z`;
    None: now).
    """

    method: str = "local"
    source: str = ""
    mfa_age: timedelta | str | None = None
    tags: Mapping[str, str] | None = None
    context: Mapping[str, str] | None = None
    at: datetime | str | None = None


class PolicyOperations:
    """`kms.policies`: what principals may do."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def _manager(self) -> PolicyManager:
        from keystead.node.policies import PolicyManager  # noqa: PLC0415 - a rare call; opening does not pay for it

        return PolicyManager(self._face._node)

    def _trials(self) -> PolicyTrials:
        from keystead.node.policy_trials import PolicyTrials  # noqa: PLC0415 - as above

        return PolicyTrials(self._face._node)

    def write(self, name: str, document: str | Mapping[str, Any], *, expected_version: int | None = None) -> PolicyInfo:
        """Write a policy, in the place of the one of its name: JSON text, or the mapping that it stands for.

        `expected_version` 0: there must be none of this name. Sessions of this process have it at once, those of others
        within one second.

        Raises:
            UsageError: a name that is none or stands for the owner, or a document that names what is wrong with it.
            VersionConflict: `expected_version` is not the version that is there.
        """
        return self._manager().write(self._face._session, name, document, expected_version)

    def read(self, name: str) -> PolicyInfo:
        """A policy.

        Raises:
            PolicyNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        return self._manager().read(self._face._session, name)

    def list(self, *, limit: int = 100, after: str | None = None) -> Page[PolicyInfo]:
        """A page of the policies that this session may list, in the order of their names.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no name. IntegrityError: one was edited.
        """
        return Page(*self._manager().page(self._face._session, limit, after))

    def delete(self, name: str) -> None:
        """Delete a policy; whoever has it is allowed nothing by it any more, and nothing denied.

        Raises:
            PolicyNotFound, UsageError.
        """
        self._manager().delete(self._face._session, name)

    def test(
        self,
        policy: str | Mapping[str, Any],
        action: str,
        resource: str,
        circumstances: Circumstances | None = None,
    ) -> Explanation:
        """What one policy would say: a stored one by its name, or a document that nobody has to have written yet.

        Raises:
            PolicyNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        supposed = self._supposed(circumstances)
        return self._trials().test(self._face._session, policy, action, resource, supposed)

    def explain(
        self,
        who: str | Iterable[str],
        action: str,
        resource: str,
        circumstances: Circumstances | None = None,
    ) -> Explanation:
        """Why somebody may do something or not: a session of this process by its id, or who has these policies.

        For a session, method, source and second factor are its own. Without `tags`, those of a secret or key count that
        is there and that this session may list. A principal, such as `user:ada`, stands for whoever has its grants; one
        alone also for its policies, where it is a user or role that is there and that this session may list. Policies
        that this session may not test are not shown, nor grants that it may not list; those to somebody that it may not
        list either do not count.

        Raises:
            SessionNotFound, PolicyNotFound, UsageError.
        """
        names, principal = _who(who)
        supposed = self._supposed(circumstances)._replace(principal=principal)
        return self._trials().explain(self._face._session, names, action, resource, supposed)

    def who_can(self, action: str, resource: str) -> Access:
        """Every statement and grant about an action on a resource, the sessions of this process that may do it now,
        and the users, roles, live access tokens and auth methods of the store whose principals may by policies.

        It shows what this session may see: policies that it may test, grants and principals that it may list.

        Raises:
            UsageError; IntegrityError where a policy is not what keystead wrote.
        """
        return self._trials().who_can(self._face._session, action, resource)

    def _supposed(self, given: Circumstances | None) -> Supposed:
        from keystead.access.conditions import METHODS  # noqa: PLC0415 - a rare call
        from keystead.access.session import Authentication  # noqa: PLC0415 - as above
        from keystead.node.policy_trials import Supposed  # noqa: PLC0415 - as above

        given = Circumstances() if given is None else given
        if not isinstance(given, Circumstances):
            raise UsageError("circumstances are a Circumstances", hint='write Circumstances(source="10.0.0.1")')
        if not isinstance(given.method, str) or not isinstance(given.source, str):
            raise UsageError("method and source of a trial must be text")
        if given.method not in METHODS:
            raise UsageError("a trial has a method that there is none of", hint=f"there are {', '.join(METHODS)}")
        at = _moment(given.at)
        now = self._face._node.clock.now_ms() if at is None else at
        shown = None
        if given.mfa_age is not None:
            shown = now - parse_duration(given.mfa_age, what="mfa_age", allow_zero=True)
        authentication = Authentication(given.method, source=given.source, mfa_ms=shown)
        return Supposed(authentication, _pairs(given.tags, "tags"), _pairs(given.context, "context"), at)


def _who(given: str | Iterable[str]) -> tuple[str | tuple[str, ...], str]:
    """The id of a session, or names of policies; and a principal, "" where none was given."""
    from keystead.access.session import check_session_id  # noqa: PLC0415 - a rare call
    from keystead.access.stored import check_policy_name  # noqa: PLC0415 - as above
    from keystead.access.words import check_principal  # noqa: PLC0415 - as above

    if isinstance(given, str):
        if ":" not in given:
            return check_session_id(given), ""
        given = (given,)
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise UsageError("who is the id of a session, or a list of names of policies")
    listed = list(given)
    principals = [check_principal(one) for one in listed if isinstance(one, str) and ":" in one]
    if len(principals) > 1:
        raise UsageError("who has one principal at most")
    names = (check_policy_name(one) for one in listed if one not in principals)
    return tuple(dict.fromkeys(names)), "".join(principals)


def _pairs(given: Mapping[str, str] | None, what: str) -> Mapping[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or not all(isinstance(one, str) for pair in given.items() for one in pair):
        raise UsageError(f"{what} of a trial are a mapping of text to text")
    return dict(given)


def _moment(given: datetime | str | None) -> int | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        if moment.tzinfo is not None:
            return round(moment.timestamp() * 1000)
    except (ValueError, AttributeError, OverflowError):
        pass
    raise UsageError("at is no moment with its zone", hint="write it as 2026-11-24T08:00:00Z")
