"""From a request to its answer: a plain synchronous function, in two tries.

`attempt` runs on the event loop and gives the answer or WOULD_WAIT; `answer` runs in a thread and gives it always.
Both go one way: target, token, session, limits, members, service, answer. Neither knows sockets or a framework.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from keystead.access.methods.strict_json import parse_object
from keystead.api.endpoint import MOST_ITEMS, Body, Endpoint
from keystead.api.operations import PREFIX
from keystead.api.problems import problem
from keystead.errors import AuthenticationFailed, KeysteadError, SessionEnded, UsageError
from keystead.gate import REQUEST_ID, WOULD_WAIT, WouldWait
from keystead.keys.named.names import check_key_name
from keystead.server import answers
from keystead.server.answers import Answer, Refusal, of_error, of_refusal, to_json
from keystead.server.callers import Caller, Callers, token_of
from keystead.server.hot import HOT, Attempt
from keystead.server.logs import defect
from keystead.server.rates import Rates
from keystead.server.routes import Place, Routes, method_of
from keystead.server.special import BODIES
from keystead.server.target import Target, query_pairs, read_target
from keystead.services.kms import KMSService

MAX_KNOWN: Final = 10_000
_TAG: Final = re.compile(rb'(?:W/)?"([0-9]{1,10})"')
_NOTHING: Final[Body] = {}
_LOGIN: Final = "login"
_MANY: Final = frozenset(("batch", "encrypt_many", "decrypt_many", "get_secrets"))
"""What uses much in one request, and changes nothing: its records are written together."""


class Request(NamedTuple):
    """One request as it came. `source` is the address that it came from, `binding` names the client's certificate.

    `authorization` is that header; `headers` are the others that matter, by lower-case name. `began` is when its head
    was whole.
    """

    method: str
    target: bytes
    authorization: bytes | None
    body: bytes
    source: str
    binding: str
    headers: Mapping[bytes, bytes]
    request_id: str
    chain: tuple[bytes, ...] = ()
    began: float = 0.0


class Known(NamedTuple):
    """A target that was read before."""

    attempt: Attempt
    name: str
    route: str


class Dispatch:
    """The dispatch of one worker. `owner` is the service of who opened the store, which authenticates callers."""

    def __init__(self, owner: KMSService, callers: Callers, routes: Routes, rates: Rates, *, max_depth: int) -> None:
        self._owner = owner
        self._callers = callers
        self._routes = routes
        self._rates = rates
        self._max_depth = max_depth
        self._hot: dict[tuple[str, bytes], Known] = {}

    # On the event loop

    def known(self, method: str, target: bytes) -> Known | None:
        """What `attempt` may answer, if this target was answered before and is of that kind."""
        return self._hot.get((method, target))

    def is_login(self, request: Request) -> bool:
        """Whether a request is a login, which may take long and which anybody may ask for."""
        target = read_target(request.target) if request.method == "POST" else None
        return target is not None and target.collection == _LOGIN

    def route_of(self, method: str, target: bytes) -> str:
        """The template of the path that a target has, without the name in it; "" where it leads nowhere."""
        known = self._hot.get((method, target))
        if known is not None:
            return known.route
        read = read_target(target)
        if read is None:
            return ""
        if read.collection == _LOGIN and read.name and not read.verb:
            return f"{PREFIX}/{_LOGIN}/{{method}}"
        place = self._routes.at(Place(read.collection, bool(read.name), read.verb))
        if place is None:
            return ""
        return PREFIX + place.get(method, next(iter(place.values()))).operation.path

    def caller(self, request: Request) -> Caller | None:
        """Who asks, if its session is open here."""
        token = token_of(request.authorization)
        if token is None:
            return None
        return self._callers.known(self._callers.named(token, request.source, request.binding))

    def attempt(self, known: Known, request: Request, caller: Caller) -> bytes | Answer | WouldWait:
        """A successful answer to who was found to ask, the body of a plain one, or WOULD_WAIT."""
        if not caller.is_ready() or self._rates.principal(caller.name) is not None:
            return WOULD_WAIT
        made: bytes | Answer | WouldWait = WOULD_WAIT
        told = REQUEST_ID.set(request.request_id)
        try:
            if not request.body:
                made = known.attempt(caller, known.name, _NOTHING)
            elif request.method != "GET" and is_json(request.headers.get(b"content-type", b"")):
                made = known.attempt(caller, known.name, self._members(request.body))
        except (KeysteadError, ValueError):
            made = WOULD_WAIT
        except Exception as error:  # whatever it was, the thread meets it again and answers, or succeeds
            defect(error, request.request_id)
            made = WOULD_WAIT
        finally:
            REQUEST_ID.reset(told)
        if isinstance(made, WouldWait):
            self._rates.not_answered(caller.name)
        return made

    # In a thread

    def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever it is."""
        told = REQUEST_ID.set(request.request_id)
        try:
            found = self._answer(request)
        except KeysteadError as error:
            return of_error(error, request.request_id, precondition=b"if-match" in request.headers)
        finally:
            REQUEST_ID.reset(told)
        return found if isinstance(found, Answer) else of_refusal(found, request.request_id)

    def _answer(self, request: Request) -> Answer | Refusal:
        target = read_target(request.target)
        if target is None:
            return answers.BAD_TARGET
        if target.collection == _LOGIN and target.name and not target.verb:
            if request.method != "POST":
                return of_refusal(answers.NO_METHOD, request.request_id, (b"allow", b"POST"))
            return self._log_in(request, target)
        place = self._routes.at(Place(target.collection, bool(target.name), target.verb))
        if place is None:
            return answers.NO_ROUTE
        endpoint = place.get(request.method)
        if endpoint is None:
            allow = ", ".join(sorted(place)).encode("ascii")
            return of_refusal(answers.NO_METHOD, request.request_id, (b"allow", allow))
        return self._authenticated(endpoint, target, request)

    def _authenticated(self, endpoint: Endpoint, target: Target, request: Request) -> Answer | Refusal:
        text = token_of(request.authorization)
        if text is None:
            return answers.NO_TOKEN
        caller = self._caller(text, request)
        late = self._rates.principal(caller.name)
        if late is not None:
            return of_refusal(answers.TOO_MANY, request.request_id, (b"retry-after", b"%d" % late))
        arguments = self._arguments(endpoint, target, request)
        if isinstance(arguments, Refusal):
            return arguments
        return self._called(caller, endpoint, target, arguments, request)

    def require_caller(self, request: Request) -> Caller:
        """Who asks, by an access token that lives.

        Raises:
            AuthenticationFailed.
        """
        text = token_of(request.authorization)
        if text is None:
            raise AuthenticationFailed("an access token is needed", hint="send Authorization: Bearer TOKEN")
        return self._caller(text, request)

    def _caller(self, token: str, request: Request) -> Caller:
        """The caller, brought up to date. A token that ended since is told as one that never was."""
        named = self._callers.named(token, request.source, request.binding)
        caller = self._callers.open(named, token, request.source, request.binding)
        try:
            caller.catch_up()
        except SessionEnded:
            self._callers.drop(named, caller)
            caller = self._callers.open(named, token, request.source, request.binding)
            caller.catch_up()
        return caller

    def _arguments(self, endpoint: Endpoint, target: Target, request: Request) -> dict[str, Any] | Refusal:
        name = target.name or None
        if endpoint.in_query:
            if request.body:
                raise UsageError("this request takes no body", hint="give its members in the query string")
            try:
                pairs = query_pairs(target.query)
            except ValueError:
                return answers.BAD_TARGET
            found = endpoint.from_query(name, pairs)
        else:
            body = self._given(target, request)
            if isinstance(body, Refusal):
                return body
            found = endpoint.arguments(name, body)
        return self._with_precondition(endpoint, request, found)

    def _given(self, target: Target, request: Request) -> dict[str, Any] | Refusal:
        """The members of a request that gives them in its body, as JSON and nowhere else."""
        if target.query:
            raise UsageError("this request takes no query string", hint="give its members in the body")
        if request.body and not is_json(request.headers.get(b"content-type", b"")):
            return answers.NOT_JSON
        try:
            return self._members(request.body) if request.body else {}
        except ValueError:
            return answers.BAD_BODY

    def _with_precondition(
        self, endpoint: Endpoint, request: Request, found: dict[str, Any]
    ) -> dict[str, Any] | Refusal:
        wanted = request.headers.get(b"if-match")
        takes_it = any(member.attribute == "expected_version" for member in endpoint.parameters)
        if endpoint.operation.changes:
            # What somebody made depend on a version is not to happen whatever the version is.
            if b"if-none-match" in request.headers:
                raise UsageError("no request takes If-None-Match", hint='If-Match: "0" writes what is not there yet')
            if wanted is not None and not takes_it:
                raise UsageError("this request takes no If-Match", hint="leave it out: it acts on any version")
        if wanted is not None and takes_it:
            tag = _TAG.fullmatch(wanted.strip())
            if tag is None:
                return answers.BAD_PRECONDITION
            if found.get("expected_version", int(tag[1])) != int(tag[1]):
                raise UsageError("If-Match and expected_version contradict each other", hint="give one of the two")
            found["expected_version"] = int(tag[1])
        return found

    def _called(
        self, caller: Caller, endpoint: Endpoint, target: Target, arguments: dict[str, Any], request: Request
    ) -> Answer:
        if b"idempotency-key" in request.headers and endpoint.operation.changes:
            return self._called_once(caller, endpoint, target, arguments, request)
        return self._called_now(caller, endpoint, target, arguments, request)

    def _called_once(
        self, caller: Caller, endpoint: Endpoint, target: Target, arguments: dict[str, Any], request: Request
    ) -> Answer:
        """The same for a request under a key: what was answered to it before, if it was."""
        once, key = caller.node.once, request.headers[b"idempotency-key"]
        # What the request depends on is a part of it: under another condition it is another request.
        condition = [request.headers[b"if-match"]] if b"if-match" in request.headers else []
        parts: list[bytes | str] = [request.method, request.target, request.body, *condition]
        asked = once.asked(caller.session, key.decode("latin-1"), *parts)
        known = once.answer(asked)
        if known is not None:
            kept = json.loads(known)
            headers = tuple((name.encode("ascii"), text.encode("ascii")) for name, text in kept["headers"])
            body = kept["body"].encode("utf-8")
            return Answer(kept["status"], body, headers=(*headers, (b"idempotent-replayed", b"true")))
        with once.doing(asked):
            answer = self._called_now(caller, endpoint, target, arguments, request)
        told = {
            "status": answer.status,
            "body": answer.body.decode("utf-8"),
            "headers": [(name.decode("ascii"), text.decode("ascii")) for name, text in answer.headers],
        }
        once.keep(asked, json.dumps(told).encode("utf-8"))
        return answer

    def _called_now(
        self, caller: Caller, endpoint: Endpoint, target: Target, arguments: dict[str, Any], request: Request
    ) -> Answer:
        special = BODIES.get(endpoint.operation.id)
        body: Body | bytes | Answer | None
        if endpoint.is_batch:
            with caller.node.recorder.together():
                body = self._batch(caller, endpoint, target.name, arguments)
        elif endpoint.operation.method in _MANY:
            with caller.node.recorder.together():
                body = endpoint.body(method_of(caller.connection, endpoint)(**arguments))
        elif special is None:
            body = endpoint.body(method_of(caller.connection, endpoint)(**arguments))
        else:
            body = special(caller, arguments)
        attempt = HOT.get(endpoint.operation.id)
        if attempt is not None and not target.query:
            self._remember(request, Known(attempt, target.name, PREFIX + endpoint.operation.path))
        if isinstance(body, Answer):
            return body
        if body is None:
            return Answer(204)
        if isinstance(body, bytes):
            return Answer(200, body)
        version = body.get("version")
        headers = ((b"etag", b'"%d"' % version),) if type(version) is int and target.name else ()
        return Answer(endpoint.operation.status, to_json(body), headers=headers)

    def _batch(self, caller: Caller, endpoint: Endpoint, name: str, arguments: dict[str, Any]) -> bytes:
        """The answers to the items of a batch: the short way where an item can go it, else the way of a single call."""
        operation, items = arguments["operation"], arguments["items"]
        if not 1 <= len(items) <= MOST_ITEMS:
            # The service says what it takes; nothing is done of a batch that is too large.
            method_of(caller.connection, endpoint)(operation, name, items)
        endpoint.require_batched(operation)
        attempt = HOT.get(f"keys.{operation}")
        found: list[bytes | None] = [None] * len(items)
        if attempt is not None:
            # The first call opens the period; then nearly all go the short way.
            found[0] = self._one(caller, endpoint, name, operation, items[0])
            for number, item in enumerate(items[1:], 1):
                try:
                    made = attempt(caller, name, item)
                except (KeysteadError, ValueError):
                    continue  # the way of a single call meets it again, and says what it is
                found[number] = made if isinstance(made, bytes) else None
        parts = [
            self._one(caller, endpoint, name, operation, item) if made is None else made
            for made, item in zip(found, items, strict=True)
        ]
        return b'{"items":[%b]}' % b",".join(parts)

    def _one(self, caller: Caller, endpoint: Endpoint, name: str, operation: str, item: Any) -> bytes:
        special = BODIES.get(f"keys.{operation}")
        try:
            arguments = endpoint.item_arguments(operation, item)
            if special is not None:
                made = special(caller, {"name": check_key_name(name), **arguments})
                return made.body if isinstance(made, Answer) else to_json(made)
        except KeysteadError as error:
            return to_json({"error": problem(error)})
        answers_ = method_of(caller.connection, endpoint)(operation, name, [arguments])
        return to_json(endpoint.batch_answers(operation, answers_)[0])

    def _remember(self, request: Request, known: Known) -> None:
        if len(self._hot) >= MAX_KNOWN:
            self._hot.clear()
        self._hot[request.method, request.target] = known

    def _members(self, body: bytes) -> Body:
        """The members of a body that is one JSON object, nested no deeper than the bound. Raises ValueError."""
        members = parse_object(body)
        if body.count(b"{") + body.count(b"[") > self._max_depth and is_deeper(members, self._max_depth):
            raise ValueError("nested too deeply")
        return members

    def _log_in(self, request: Request, target: Target) -> Answer | Refusal:
        members = self._given(target, request)
        if isinstance(members, Refusal):
            return members
        if not all(type(value) is str for value in members.values()):
            raise UsageError("the credentials of a login are texts")
        if target.name == "certificate":
            if not request.chain:
                raise AuthenticationFailed
            members["chain"] = list(request.chain)
        token = self._owner._log_in(target.name, request.source or None, members)
        told = BODIES["login"](None, {"token": token})
        return told if isinstance(told, Answer) else Answer(200, to_json(told))


def is_json(kind: bytes) -> bool:
    """Whether a Content-Type is that of JSON."""
    return kind == answers.JSON_TYPE or kind.partition(b";")[0].strip().lower() == answers.JSON_TYPE


def is_deeper(value: Any, most: int) -> bool:
    """Whether a JSON value is nested more deeply than that; its reader goes no deeper than Python's own bound."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
