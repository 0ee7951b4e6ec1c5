"""Redis: reachable, closed to strangers, and set up so that it loses nothing that matters."""

from collections.abc import Iterator

from cli.doctor.finding import Finding, State, first_line
from common.masking import mask
from common.model.errors import StoreUnavailable
from common.store import connect
from common.store.link import Link
from common.store.server import Server

AREA = "Redis"
WANTED = {
    "appendonly yes": (
        ("persistence", "aof_enabled", "1"),
        "without a log on disk a restart loses queue and records: all nodes are read from EC2 anew",
    ),
    "no cluster mode": (("cluster", "cluster_enabled", "0"), "Celery's transport cannot use it: no role starts"),
    "maxmemory-policy noeviction": (
        ("memory", "maxmemory_policy", "noeviction"),
        "evicting keys would lose records and messages silently",
    ),
}
"""Configuration, where INFO tells it (section, field, wanted value), and why. CONFIG is refused to our users."""


def check(redis_url: str) -> Iterator[Finding]:
    """Changes nothing."""
    link = Link(connect(redis_url))
    try:
        link.command("PING")
    except StoreUnavailable as error:
        advice = f"{first_line(error)}. Check VPC_RC_REDIS_URL and the network policies"
        yield Finding(area=AREA, what=mask(redis_url), state=State.MISSING, advice=advice)
        return
    yield Finding(area=AREA, what=mask(redis_url))
    yield _password(redis_url)
    for what, (where, why) in WANTED.items():
        yield _configured(link, what, *where, why)


def _password(redis_url: str) -> Finding:
    """Whether strangers are refused."""
    what = "a password is needed"
    scheme, _, rest = redis_url.partition("://")
    stranger = Server(Link(connect(f"{scheme}://{rest.rpartition('@')[2]}")))
    try:
        if not stranger.lets_us_in():
            return Finding(area=AREA, what=what)
    except StoreUnavailable as error:
        return Finding(area=AREA, what=what, state=State.UNKNOWN, advice=first_line(error))
    advice = "Whoever reaches it rewrites records and tasks. Make users: vpc-rc redis credentials (docs/security.md)"
    return Finding(area=AREA, what=what, state=State.MISSING, advice=advice)


def _configured(link: Link, what: str, section: str, field: str, wanted: str, why: str) -> Finding:
    try:
        value = link.command("INFO", section).get(field)
    except StoreUnavailable:
        value = None
    if value is None:
        advice = "This Redis does not tell it; check it where it is set"
        return Finding(area=AREA, what=what, state=State.UNKNOWN, advice=advice)
    if str(value) == wanted:
        return Finding(area=AREA, what=what)
    return Finding(area=AREA, what=what, state=State.MISSING, advice=f"It is {value}: {why}")
