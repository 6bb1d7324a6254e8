"""Policy decisions for who has a thousand policies: kept, anew, refused, under conditions, after a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.harness import Contender, race
from bench.lab import Lab
from bench.report import Row, bound, within
from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session

TITLE = "Policy decisions with 1,000 policies (CPU of one decision)"
POLICIES = 1_000


def document(number: int) -> dict[str, Any]:
    """An application's policy: some secrets by whole segment, by beginning and by all below, a deny, a condition."""
    own = f"secret/app-{number}/**"
    return {
        "version": 1,
        "statements": [
            {"id": "read", "effect": "allow", "actions": ["secret:read"], "resources": [own, f"secret/t{number}-*/db"]},
            {"id": "not", "effect": "deny", "actions": ["secret:*"], "resources": [f"secret/app-{number}/root"]},
            {
                "id": "office",
                "effect": "allow",
                "actions": ["secret:write"],
                "resources": [own],
                "conditions": {"source": ["10.0.0.0/8"], "time": {"hours": "00:00-24:00"}},
            },
        ],
    }


def rows(lab: Lab) -> list[Row]:
    """All of it."""
    with lab.connection("policies") as connection:
        names = tuple(f"p{number}" for number in range(POLICIES))
        for number, name in enumerate(names):
            connection.kms.policies.write(name, document(number))
        node = connection.kms.node
        engine = node.policies
        proved = Authentication("token", names, source="10.1.2.3")
        session = Session.start(Principal("role", "shop"), node.clock.now_ms(), proved)

        def anew(action: str, resource: str) -> Callable[[], Any]:
            def decide() -> Any:
                engine._kept = {}
                return engine.decide(session, action, resource, None)

            return decide

        def changed() -> Any:
            engine.forget()
            return engine.decide(session, "secret:read", "secret/app-500/db", None)

        def yes(out: Any) -> bool:
            return bool(out.allowed)

        kept, owner, allowed, refused, stranger, conditional, after = race(
            [
                Contender("kept", lambda: engine.decide(session, "secret:read", "secret/app-500/x", None), yes),
                Contender("owner", lambda: engine.decide(node.system, "secret:read", "secret/app-500/x", None), yes),
                Contender("allowed", anew("secret:read", "secret/app-500/db"), yes),
                Contender("denied", anew("secret:read", "secret/app-500/root"), lambda out: not out.allowed),
                Contender("nothing", anew("secret:read", "secret/other/db"), lambda out: not out.allowed),
                Contender("conditional", anew("secret:write", "secret/app-500/db"), yes),
                Contender("change", changed, yes),
            ]
        )
    return [
        bound("kept", kept.cpu, 0.3e-6),
        within("the owner's, for whom no policy is asked", owner.cpu, "kept", kept.cpu, times=None),
        bound("anew, allowed", allowed.cpu, 20e-6),
        bound("anew, denied by a statement", refused.cpu, 20e-6),
        bound("anew, nothing allows it", stranger.cpu, 20e-6),
        bound("anew, under time and source", conditional.cpu, 20e-6),
        bound("the first after a change in the store", after.cpu, None),
    ]
