"""What the reference controller was seen to do, and the judge that holds ours against it."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data"
Facts = dict[str, Any]

OURS = frozenset(
    {
        "Normal BranchCapacityReached",  # "an event with the reason for every wait" (faults, row 8)
        "Warning WaitingForNode",  # the same
        "Warning EniConfigNameNotFound",  # "the reference is silent when the named ENIConfig does not exist"
        "Warning InsufficientCidrBlocks",  # "retry after 2 minutes, tell the node"
        "Warning AnnotationNotVerified",  # "Annotations are claims": what EC2 does not show to be the pod's own
        "Warning PodAnnotationMalformed",  # "a malformed annotation is reported"
        "Warning SecurityGroupRequested",  # said anew where the groups came to be others while the pod waited
    }
)
"""Events that the contract wants and the reference lacks."""


class Events(frozenset[str]):
    """`Type Reason` of what was said about one object."""


@cache
def cases(platform: str) -> dict[str, Any]:
    """All cases of `linux`, `windows` or `admission`."""
    found: dict[str, Any] = json.loads((FOLDER / f"{platform}.json").read_text())
    return found


def facts_of(case: str, platform: str) -> Facts:
    found: Facts = cases(platform)[case]["facts"]
    return found


def matches(facts: Any, seen: Any) -> None:
    """Everything in `facts` was seen; `seen` may hold more keys, and events more of ours. Fails with all that differs.

    A key that was not looked at is a difference: whoever leaves it out on purpose takes it out of `facts` (`but`).
    """
    differences = list(_differences(facts, seen, "facts"))
    assert not differences, "\n".join(differences)


def but(facts: Facts, *left_out: str, **instead: Any) -> Facts:
    """The facts without what ours does differently, and with what it does instead. Names are dotted paths; each must
    be there: a fact that is gone from the record needs no exception any more."""
    changed: Facts = json.loads(json.dumps(facts))
    for path in left_out:
        *way, last = path.split(".")
        place = changed
        for step in way:
            place = place[step]
        del place[last]
    return {**changed, **instead}


def _differences(facts: Any, seen: Any, path: str) -> Iterable[str]:
    match facts:
        case _ if isinstance(seen, Events):
            if facts is None:
                return
            if missing := set(facts) - seen:
                yield f"{path}: missing events {sorted(missing)}, there are {sorted(seen)}"
            if more := seen - set(facts) - OURS:
                yield f"{path}: events that nobody wants {sorted(more)}"
        case dict() if isinstance(seen, dict):
            for key, value in facts.items():
                if key in seen:
                    yield from _differences(value, seen[key], f"{path}.{key}")
                elif value is not None:
                    yield f"{path}.{key}: nothing was seen, should be {value!r}"
        case list() if isinstance(seen, list) and len(facts) == len(seen):
            for place, (one, other) in enumerate(zip(facts, seen, strict=True)):
                yield from _differences(one, other, f"{path}[{place}]")
        case _:
            if facts != seen or type(facts) is not type(seen):
                yield f"{path}: {seen!r}, should be {facts!r}"
