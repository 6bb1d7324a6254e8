"""What is answered on the event loop is answered and recorded as it would be in a thread, whatever is asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.conftest import ADMINISTRATOR

import keystead
from keystead.audit.record import Event
from keystead.gate import WouldWait
from keystead.node.settings import Settings
from keystead.server.answers import Answer
from keystead.server.callers import Callers
from keystead.server.dispatch import Dispatch, Request
from keystead.server.hot import HOT, SHORT
from keystead.server.rates import Rates
from keystead.server.routes import Routes
from keystead.services.connection import Connection
from keystead.testing import ManualClock

JSON: Final = {b"content-type": b"application/json"}


class Asked(NamedTuple):
    """A request that is answered, by the members of its body as they are written there."""

    operation: str
    method: str
    target: bytes
    members: dict[str, str]


class Lab:
    """The dispatch of a server, without the server, and what it can answer on the event loop."""

    def __init__(self, store: Connection) -> None:
        kms = self.kms = store.kms
        self.node = kms.node
        kms.policies.write("administrator", ADMINISTRATOR)
        self.token = kms.tokens.create(["administrator"], name="administrator").reveal()
        self.dispatch = self.limited(0)
        self._recorded: list[dict[str, Any]] = []
        kms.on_event(list(Event), self._recorded.append)
        self.asked = [*self._keys(kms), *self._data(kms), *self._secrets(kms)]

    def limited(self, per_principal: int) -> Dispatch:
        """Another dispatch, which answers a principal so many requests a second."""
        rates = Rates(0, per_principal, self.node.clock.monotonic)
        return Dispatch(self.kms, Callers(self.node, self.kms), Routes(), rates, max_depth=8)

    @staticmethod
    def _keys(kms: Any) -> Iterator[Asked]:
        for name, kind in (("sealing", "aes-256-gcm"), ("summing", "hmac-sha-256"), ("signing", "ed25519")):
            kms.keys.create(name, type=kind)
        kms.keys.rotate("summing")
        context = {"tenant": "acme"}
        sealed, bound = kms.keys.encrypt("sealing", b"abc"), kms.keys.encrypt("sealing", b"abc", context=context)
        made, signature = kms.keys.mac("summing", b"abc").mac, kms.keys.sign("signing", b"abc").signature
        for verb, members in (
            ("encrypt", {"plaintext": text(b"abc")}),
            ("decrypt", {"ciphertext": text(sealed)}),
            ("decrypt", {"ciphertext": text(bound), "context": json.dumps(context)}),
        ):
            yield Asked(f"keys.{verb}", "POST", b"/api/v1/keys/sealing:" + verb.encode(), members)
        message = {"message": text(b"abc")}
        yield Asked("keys.mac", "POST", b"/api/v1/keys/summing:mac", message)
        yield Asked("keys.verify_mac", "POST", b"/api/v1/keys/summing:verify-mac", {**message, "mac": text(made)})
        yield Asked("keys.sign", "POST", b"/api/v1/keys/signing:sign", message)
        shown = {**message, "signature": text(signature)}
        yield Asked("keys.verify", "POST", b"/api/v1/keys/signing:verify", shown)

    @staticmethod
    def _data(kms: Any) -> Iterator[Asked]:
        sealed, bound = kms.encrypt(b"abc"), kms.encrypt(b"abc", aad="tenant")
        yield Asked("kms.encrypt", "POST", b"/api/v1/data:encrypt", {"plaintext": text(b"abc")})
        yield Asked("kms.decrypt", "POST", b"/api/v1/data:decrypt", {"ciphertext": text(sealed)})
        bound_to = {"ciphertext": text(bound), "aad": '"tenant"'}
        yield Asked("kms.decrypt", "POST", b"/api/v1/data:decrypt", bound_to)

    @staticmethod
    def _secrets(kms: Any) -> Iterator[Asked]:
        kms.store_secrets({"plain": "one", "odd": 'quoted " \u00fc \U0001f511 \n'})
        kms.store_secret("short", "lived", ttl="1h")
        kms.store_secret("bytes", b"\0\xff")
        kms.rotate_secret("plain", "two")
        for target in (b"plain", b"odd", b"short", b"bytes", b"p%6Cain", b"plain?", b"plain%231", b"plain%23previous"):
            yield Asked("kms.get_secret", "GET", b"/api/v1/secrets/" + target, {})

    def request(self, asked: Asked, body: bytes | None = None, **headers: bytes) -> Request:
        """A request for what is asked for, with that body in the place of its own."""
        if body is None:
            body = written(asked.members.items()) if asked.members else b""
        given_ = {**(JSON if body else {}), **{name.replace("_", "-").encode(): v for name, v in headers.items()}}
        shown = f"Bearer {self.token}".encode()
        return Request(asked.method, asked.target, shown, body, "127.0.0.1", "", given_, "req_1")

    def at_once(self, request: Request, dispatch: Dispatch | None = None) -> Answer | None:
        """The answer on the event loop, where there is one."""
        dispatch = dispatch or self.dispatch
        known, caller = dispatch.known(request.method, request.target), dispatch.caller(request)
        if known is None or caller is None:
            return None
        made = dispatch.attempt(known, request, caller)
        return None if isinstance(made, WouldWait) else made if isinstance(made, Answer) else Answer(200, made)

    def recorded(self) -> list[dict[str, Any]]:
        """What was recorded since this was asked before."""
        recorded, self._recorded[:] = self._recorded.copy(), []
        return recorded

    def opened(self, asked: Asked, answer: Answer, body: bytes) -> dict[str, Any]:
        """What an answer says: of what is another each time, what it holds."""
        said: dict[str, Any] = json.loads(answer.body)
        members = json.loads(body) if body else {}
        blob = base64.b64decode(said.get("ciphertext", ""))
        if asked.operation == "keys.encrypt" and blob:
            said["ciphertext"] = self.kms.keys.decrypt("sealing", blob, context=members.get("context"))
        elif asked.operation == "kms.encrypt" and blob:
            said["ciphertext"] = self.kms.decrypt(blob, aad=members.get("aad"))
        said.pop("request_id", None)
        return said


def text(data: bytes) -> str:
    return json.dumps(base64.b64encode(data).decode())


def written(members: Any) -> bytes:
    return "{{{}}}".format(",".join(f'"{name}":{value}' for name, value in members)).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("hot") / "app.db"
    how = replace(Settings(), record_each_use=True)
    with keystead.connect(place, master_key=keystead.generate_master_key(), settings=how, clock=ManualClock()) as store:
        yield Lab(store)


NAMES = st.sampled_from(
    ["plaintext", "ciphertext", "message", "mac", "signature", "context", "aad", "key_version", "version", "algorithm",
     "prehashed", "plaintext_base64", "aad_base64", "context_base64", "name", "", "pl\\u0061intext", "\u00fc"]
)  # fmt: skip
VALUES = st.sampled_from(
    ['""', '"YQ=="', '"YR=="', '"YQ"', '"YWJj"', '"YWJj\\n"', '"YW\\u004aj"', '"YWJj====" ', '"\u00fc"', '"\\ud800"',
     "null", "true", "false", "0", "1", "-0", "1.0", "1e400", "NaN", "-Infinity", "1" * 21, "[]", "[1]", "{}",
     '{"a":"b"}', '{"b":"1","a":"2"}', '{"a":"b","a":"c"}', '{"a":1}', '{"a":null}', '{"a":{"b":"c"}}', '{"":""}',
     '{"\\ud800":"a"}', '{"a":"\\ud800"}', '{"\u00fc":"\u00fc"}', '"a%"', "[" * 9 + "]" * 9, "[" * 7 + "]" * 7,
     "[" * 3000 + "]" * 3000, "{", "", " null ", text(b"x" * (SHORT * 3 // 4)), text(b"x" * (SHORT * 3 // 4 + 1)),
     '"' + "x" * 5000 + '"', '{"a":"' + "x" * 70000 + '"}', json.dumps({str(n): "x" for n in range(300)})]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        b"",
        b"{}",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b"\xff",
        b"{} ",
        b"\0",
        b"{}\0",
        b"[" * 100000,
    ]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.sampled_from(
            [b"", b"application/json", b"application/json; charset=latin-1", b"APPLICATION/JSON ;", b"text/json",
             b"application/json,text/plain", b"application/jsonx"]
        ),
        "if_match": st.sampled_from([b'"1"', b"1", b"*", b'"9"', b""]),
        "if_none_match": st.sampled_from([b"*", b'"1"']),
        "idempotency_key": st.sampled_from([b"key", b"\xff", b""]),
    },
)  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn, members: dict[str, str]) -> bytes:
    """Bodies that are much like one that is answered."""
    if not members or draw(st.integers(0, 9)) == 0:
        return draw(st.just(b"") | BODIES)
    found = list(members.items())
    for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=draw(st.integers(0, 2)))):
        at = draw(st.integers(0, len(found)))
        if draw(st.booleans()) and at < len(found):
            found[at] = (found[at][0], value)
        else:
            found.insert(at, (name, value))
    before, behind = draw(st.sampled_from([("", ""), ("", ""), (" ", "\n"), ("", "x"), ("\ufeff", "")]))
    return before.encode() + written(found) + behind.encode()


@pytest.mark.parametrize("operation", sorted(HOT))
def test_what_was_answered_before_is_answered_at_once(lab: Lab, operation: str) -> None:
    found = [asked for asked in lab.asked if asked.operation == operation]
    assert found
    for asked in found:
        for _ in range(2):  # the first reading of a secret is one of the store
            assert lab.dispatch.answer(lab.request(asked)).status == 200
        # One version or label of a secret is looked up anew each time.
        assert (lab.at_once(lab.request(asked)) is not None) == (b"%23" not in asked.target)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_what_is_answered_at_once_is_answered_and_recorded_as_in_a_thread(lab: Lab, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(lab.asked))
    assert lab.dispatch.answer(lab.request(asked)).status == 200
    request = lab.request(asked, data.draw(bodies(asked.members)), **data.draw(st.just({}) | HEADERS))
    lab.recorded()
    at_once = lab.at_once(request)
    recorded = lab.recorded()
    if at_once is None:
        assert recorded == []
        return
    answer = lab.dispatch.answer(request)
    assert lab.recorded() == recorded
    assert at_once._replace(body=b"") == answer._replace(body=b"")
    assert lab.opened(asked, at_once, request.body) == lab.opened(asked, answer, request.body)
    if asked.operation not in ("keys.encrypt", "kms.encrypt"):
        assert at_once.body == answer.body


def test_what_reads_a_secret_that_is_bytes_leaves_one_record(lab: Lab) -> None:
    asked = Asked("kms.get_secret", "GET", b"/api/v1/secrets/bytes", {})
    for _ in range(2):
        lab.dispatch.answer(lab.request(asked))
    lab.recorded()
    at_once = lab.at_once(lab.request(asked))
    assert [facts["event"] for facts in lab.recorded()] == ["cache_hit"]
    assert at_once == lab.dispatch.answer(lab.request(asked))


@pytest.mark.parametrize("operation", ["keys.encrypt", "kms.encrypt"])
@pytest.mark.parametrize("context", ['"\\ud800"', '{"a":"\\ud800"}', '{"\\ud800":"a"}'])
def test_a_context_that_has_no_bytes_leaves_no_record_of_an_encryption_at_once(
    lab: Lab, operation: str, context: str
) -> None:
    asked = next(asked for asked in lab.asked if asked.operation == operation)
    name = "context" if operation == "keys.encrypt" else "aad"
    assert lab.dispatch.answer(lab.request(asked)).status == 200
    lab.recorded()
    request = lab.request(asked, written([*asked.members.items(), (name, context)]))
    assert lab.at_once(request) is None
    assert lab.recorded() == []
    assert lab.dispatch.answer(request).status == 400


def test_the_version_of_a_secret_stands_in_each_answer(lab: Lab) -> None:
    request = lab.request(Asked("kms.get_secret", "GET", b"/api/v1/secrets/plain", {}))
    for answer in (lab.dispatch.answer(request), lab.dispatch.answer(request), lab.at_once(request)):
        assert answer is not None
        assert answer.headers == ((b"etag", b'"2"'),)


def test_a_request_that_is_not_answered_at_once_counts_as_one(lab: Lab) -> None:
    dispatch = lab.limited(2)
    asked = next(asked for asked in lab.asked if asked.operation == "keys.encrypt")
    long = lab.request(asked, written([("plaintext", text(b"x" * SHORT))]))
    statuses = []
    for request in (lab.request(asked), long, long, long, long):
        assert lab.at_once(request, dispatch) is None
        statuses.append(dispatch.answer(request).status)
    assert statuses == [200, 200, 200, 200, 429]


def test_what_fails_on_the_event_loop_is_told_of_and_answered_in_a_thread(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("a value that is in no log")

    request = lab.request(next(asked for asked in lab.asked if asked.operation == "keys.mac"))
    answer = lab.dispatch.answer(request)
    known, caller = lab.dispatch.known(request.method, request.target), lab.dispatch.caller(request)
    assert known is not None
    assert caller is not None
    assert isinstance(lab.dispatch.attempt(known._replace(attempt=fail), request, caller), WouldWait)
    assert [record.getMessage() for record in caplog.records] == ["defect"]
    assert "a value" not in str(vars(caplog.records[0]))
    assert lab.dispatch.answer(request) == answer
