"""Redis: reachable, and set up so that it loses nothing that matters."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.doctor.finding import Finding, State, first_line
from common.masking import mask
from common.model.errors import StoreUnavailable
from common.store import connect
from common.store.link import Link

AREA = "Redis"
WANTED = {
    "appendonly": ("yes", "without a log on disk a restart loses queue and records: all nodes are read from EC2 anew"),
    "maxmemory-policy": ("noeviction", "evicting keys would lose records and messages silently"),
}
"""Configuration, wanted values, and why."""


def check(redis_url: str) -> Iterator[Finding]:
    """Reads its configuration only."""
    link = Link(connect(redis_url))
    try:
        link.command("PING")
    except StoreUnavailable as error:
        advice = f"{first_line(error)}. Check VPC_RC_REDIS_URL and the network policies"
        yield Finding(area=AREA, what=mask(redis_url), state=State.MISSING, advice=advice)
        return
    yield Finding(area=AREA, what=mask(redis_url))
    for name, (wanted, why) in WANTED.items():
        what = f"{name} {wanted}"
        try:
            answer = link.command("CONFIG", "GET", name)
        except StoreUnavailable:
            advice = "This Redis does not tell its configuration (managed services do not); check it where it is set"
            yield Finding(area=AREA, what=what, state=State.UNKNOWN, advice=advice)
            continue
        value = _value(answer)
        if value == wanted:
            yield Finding(area=AREA, what=what)
        else:
            advice = f"It is {value}; set it to {wanted}: {why}"
            yield Finding(area=AREA, what=what, state=State.MISSING, advice=advice)


def _value(answer: Any) -> str:
    """Of CONFIG GET: a map, or a list of name and value, as the protocol's version has it."""
    values = list(answer.values()) if isinstance(answer, Mapping) else list(answer)[1:]
    return str(values[0].decode()) if values else "unset"
