"""Generated policies and calls, from a small world in which patterns and names meet often."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.policy.model import Call, Given, allows_with

from keystead.access.asked import Asked
from keystead.access.compile import CompiledSet
from keystead.access.engine import PolicyEngine
from keystead.access.explain import considered, explained, speaking
from keystead.access.grants import Grant, Wanted
from keystead.access.patterns import NAMED_KINDS
from keystead.access.policy import Action, Decision
from keystead.access.ports import PolicyRow
from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.access.statements import NAMED, parse_document
from keystead.access.stored import PolicyBinder

# Anybody may try to log in, whatever policies say.
ACTIONS = [action.value for action in Action if action is not Action.LOGIN_ATTEMPT]
NOUNS = sorted({f"{action.partition(':')[0]}:*" for action in ACTIONS})
FEW = ["secret:read", "secret:list", "secret:write", "policy:read", "data:decrypt"]
KEY_VERBS = ["encrypt", "decrypt", "data-key", "read", "create-grant", "retire-grant"]
KEYS = ["app", "db", "app-1"]
LITERALS = ["secret", "policy", "app", "app-1", "apple", "db", "prod", "a", "A", "..x", "x.y"]
KINDS = ["secret", "policy", "key", "se*", "*", "p*"]
SEGMENTS = [*LITERALS, "*", "ap*", "app*", "app-*", "a*", "d*", "p*"]
# What no policy may say, and callers may ask for all the same.
ODD = ["*", "**", "app*", "", ".", "..", "+", "secret*"]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW = 1_795_478_400_000
"""24 November 2026, a Tuesday, at midnight."""
ADA = Principal("user", "ada")
BINDER = PolicyBinder(b"0" * 16, b"1" * 32)


def pattern(pick: random.Random) -> str:
    parts = [pick.choice(KINDS), *pick.choices(SEGMENTS, k=pick.choice((0, 1, 1, 2, 2, 3)))]
    made = "/".join([*parts, "**"] if pick.random() < 0.3 else parts) if pick.random() < 0.97 else "**"
    return f"{made}/app" if made in NAMED_KINDS else made


def condition(pick: random.Random) -> dict[str, Any]:
    hours = pick.choice(["08:00-18:00", "00:00-24:00", ["00:00-08:00", "18:00-24:00"], "12:00-12:01"])
    time = {
        "after": pick.choice(["2026-11-24T08:00:00Z", "2026-11-24T09:00:00+02:00"]),
        "before": pick.choice(["2026-11-25T00:00:00Z", "2026-11-24T18:30:00.500+00:00"]),
        "hours": hours,
        "days": pick.choice([["mon", "tue", "wed", "thu", "fri"], ["sat", "sun"], ["tue"]]),
    }
    pairs = pick.choice([{"env": "prod"}, {"env": "dev"}, {"env": "prod", "team": "shop"}])
    every = {
        "time": dict(pick.sample(list(time.items()), k=pick.choice((1, 1, 2)))),
        "source": pick.choice([["10.0.0.0/8"], ["10.1.0.0/16", "2001:db8::/32"], ["192.0.2.7"]]),
        "tags": pairs,
        "method": pick.choice([["local"], ["password", "token"]]),
        "mfa_age": pick.choice(["30s", "5m", "1h"]),
        "context": pick.choice(
            [{"equals": pairs}, {"contains": pairs}, {"equals": {}}, {"equals": pairs, "contains": pairs}]
        ),
    }
    return dict(pick.sample(list(every.items()), k=pick.choice((1, 1, 1, 2, 3))))


def statement(pick: random.Random, number: int) -> dict[str, Any]:
    pool = pick.choice([FEW, FEW, ACTIONS, NOUNS, ["*"]])
    actions = sorted(set(pick.choices(pool, k=pick.choice((1, 1, 2)))))
    resources = sorted({pattern(pick) for _ in range(pick.choice((1, 1, 2, 3)))})
    made: dict[str, Any] = {
        "id": f"s{number}",
        "effect": "deny" if pick.random() < 0.3 else "allow",
        "actions": actions,
        "resources": resources,
    }
    if pick.random() < 0.4:
        made["conditions"] = condition(pick)
    return made


def policy(pick: random.Random) -> dict[str, Any]:
    return {"version": 1, "statements": [statement(pick, number) for number in range(pick.choice((1, 2, 3)))]}


class Caller(NamedTuple):
    """A session: how it was proved does not change."""

    method: str
    source: str
    mfa_ms: int | None


def caller(pick: random.Random) -> Caller:
    return Caller(
        pick.choice(["local", "password", "oidc"]),
        pick.choice(["", "10.1.2.3", "10.9.9.9", "192.0.2.7", "192.0.2.8", "2001:db8::1", "fe80::1"]),
        pick.choice([None, NOW - 1, NOW + 8 * HOUR_MS - 30_000, NOW + pick.randrange(DAY_MS)]),
    )


def asked_for(pick: random.Random) -> tuple[str, str]:
    """An action and a resource."""
    inner = [pick.choice(ODD if pick.random() < 0.06 else LITERALS) for _ in range(pick.choice((0, 1, 2, 2, 3)))]
    resource = "/".join([pick.choice(["secret", "secret", "policy", "store"]), *inner])
    return pick.choice(FEW if pick.random() < 0.8 else ACTIONS), resource


def meant(pick: random.Random, documents: list[dict[str, Any]]) -> tuple[str, str]:
    """An action and a resource that some statement is about."""
    one = pick.choice([each for document in documents for each in document["statements"]])
    action = pick.choice([each for each in NAMED[pick.choice(one["actions"])] if each in ACTIONS])
    parts = []
    for segment in pick.choice(one["resources"]).split("/"):
        if segment == "**":
            parts += pick.choices(LITERALS, k=pick.choice((1, 1, 2)))
        else:
            free = segment.endswith("*")
            parts.append(segment.removesuffix("*") + pick.choice(LITERALS if free else [""]))
    return action, "/".join(parts)


def given(pick: random.Random) -> Given:
    """A grant of one of few keys, mostly to the one who asks."""
    pairs = [None, None, {"env": "prod"}, {"env": "prod", "team": "shop"}]
    verbs = set(pick.choices(KEY_VERBS, k=pick.choice((1, 2, 3))))
    ends = [None, None, NOW + 12 * HOUR_MS, NOW + 8 * HOUR_MS, NOW + DAY_MS + 9 * HOUR_MS]
    who = "user:eve" if pick.random() < 0.2 else str(ADA)
    return Given(pick.choice(KEYS), who, verbs, pick.choice(pairs), pick.choice(pairs), pick.choice(ends))


def of_keys(pick: random.Random) -> dict[str, Any]:
    """A statement about the keys that grants are of."""
    made = statement(pick, 1) | {"effect": pick.choice(["deny", "deny", "allow"])}
    actions = sorted({pick.choice(["*", "key:*", "key:decrypt", "key:read"]) for _ in range(2)})
    return made | {"actions": actions, "resources": [f"key/{pick.choice([*KEYS, '*', 'ap*'])}"]}


def call(pick: random.Random, who: Caller, what: tuple[str, str]) -> Call:
    pairs = [None, {}, {"env": "prod"}, {"env": "dev"}, {"env": "prod", "team": "shop"}, {"Env": "prod"}]
    moments = [8 * HOUR_MS, 8 * HOUR_MS - 1, 18 * HOUR_MS, 12 * HOUR_MS, pick.randrange(DAY_MS)]
    now = NOW + pick.choice((0, DAY_MS, 3 * DAY_MS)) + pick.choice(moments)
    if who.mfa_ms is not None and pick.random() < 0.5:
        now = who.mfa_ms + pick.choice((-1, 0, 29_999, 30_000, 30_001, 299_999, 300_000, 3_600_000, 3_600_001))
    return Call(*what, now, *who, pick.choice(pairs), pick.choice(pairs))


class Moment:
    """A clock that goes to whatever moment a case is about."""

    at_ms = 0

    def now_ms(self) -> int:
        return self.at_ms


class Store:
    """Policies without a database."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        texts = [parse_document(document).text for document in documents]
        self.rows = [BINDER.sealed(PolicyRow(f"p{at}", text, 0, 0, 1, b"")) for at, text in enumerate(texts)]

    def named(self, names: Iterable[str]) -> list[PolicyRow]:
        return [row for row in self.rows if row.name in names]


class Keys:
    """Grants of keys without a database."""

    def __init__(self, grants: list[Given]) -> None:
        self.grants = [
            (one.key, Grant(f"g{at}", one.grantee, None, frozenset(one.operations), *one[3:]))
            for at, one in enumerate(grants)
        ]

    def has_any(self, principal: str) -> bool:
        return any(grant.grantee == principal for _, grant in self.grants)

    def of(self, name: str, principal: str) -> list[Grant]:
        return [grant for key, grant in self.grants if (key, grant.grantee) == (name, principal)]


def engine_of(documents: list[dict[str, Any]], clock: Moment, keys: Keys) -> tuple[PolicyEngine, tuple[str, ...]]:
    store = Store(documents)
    engine = PolicyEngine(lambda: store, lambda: BINDER, clock, lambda: keys)  # type: ignore[arg-type]
    return engine, tuple(row.name for row in store.rows)


def differences(seed: int, count: int, calls_of_one: int = 40) -> Iterator[str]:
    """Each generated case that the engine, which keeps decisions, and the model decide differently, or that it explains
    otherwise."""
    pick = random.Random(seed)
    done = 0
    while done < count:
        documents = [policy(pick) for _ in range(pick.choice((1, 1, 2, 4)))]
        clock = Moment()
        grants = [given(pick) for _ in range(pick.choice((0, 0, 1, 3, 6)))]
        if grants and pick.random() < 0.4:
            documents.append({"version": 1, "statements": [of_keys(pick)]})
        keys = Keys(grants)
        engine, names = engine_of(documents, clock, keys)
        callers = [caller(pick) for _ in range(3)]
        sessions = [Session.start(ADA, 0, proved(who, names)) for who in callers]
        wanted = [asked_for(pick) if pick.random() < 0.4 else meant(pick, documents) for _ in range(8)]
        wanted += [(f"key:{pick.choice(KEY_VERBS)}", f"key/{pick.choice(KEYS)}") for _ in grants]
        for _ in range(min(calls_of_one, count - done)):
            done += 1
            at = pick.randrange(3)
            made = call(pick, callers[at], pick.choice(wanted))
            clock.at_ms = made.now_ms
            decision = engine.decide(sessions[at], made.action, made.resource, facts_of(made))
            expected = allows_with(documents, grants, str(ADA), made)
            if decision.allowed is not expected:
                yield f"{documents} {grants} {made}: {decision}, and the model says {expected}"
            if not spoken_for(decision, engine.compiled(names), keys, made):
                yield f"{documents} {made}: {decision} is not what the explanation says"


def proved(who: Caller, names: tuple[str, ...]) -> Authentication:
    return Authentication(who.method, names, source=who.source, mfa_ms=who.mfa_ms)


def facts_of(made: Call) -> dict[str, dict[str, str]]:
    return {name: value for name, value in (("tags", made.tags), ("context", made.context)) if value is not None}


def spoken_for(decision: Decision, compiled: CompiledSet, keys: Keys, made: Call) -> bool:
    """Whether the explanation, which looks at each statement without the tree, and at each grant, has what a decision
    gives as reason."""
    asked = Asked(Authentication(made.method, source=made.source, mfa_ms=made.mfa_ms), facts_of(made), made.now_ms)
    told = explained(decision, compiled.policies, made.action, made.resource, asked).statements
    effects = {one.effect for one in told if one.applies}
    spoken = any(speaking(compiled.policies, made.action, made.resource))
    found = keys.of(made.resource.removeprefix("key/"), str(ADA)) if made.resource.startswith("key/") else []
    granted = considered(found, Wanted(str(ADA), made.action, facts_of(made), made.now_ms))
    given = any(one.applies for one in granted)
    expected = {
        "allowed": effects == {"allow"},
        "granted": not effects and given,
        "explicit-deny": "deny" in effects,
        "condition": not effects and not given and (spoken or bool(granted)),
        "no-statement": not effects and not given,
    }
    return expected[decision.reason_class] and decision.visible >= decision.allowed
