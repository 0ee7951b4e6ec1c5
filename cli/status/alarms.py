"""What is wrong with the processes themselves: pure, from their heartbeats."""

from collections.abc import Mapping

import msgspec

STALE_SECONDS = {"watcher": 12.0, "worker": 25.0}
"""A heartbeat older than this missed at least two."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process that beats."""

    leader: bool = False
    synced: bool = True
    """A watcher: its lists are complete."""
    started: float = 0.0
    """Epoch seconds."""
    age: float = 0.0
    """Seconds since its last heartbeat."""
    stale: bool = False
    holder: str = ""
    """A watcher that stands by: who holds the lease."""
    holder_since: str = ""
    """When that one says that it took the lease."""


def member(role: str, about: Mapping[str, str]) -> Member:
    age = float(about.get("age") or 0)
    return Member(
        leader=about.get("leader") == "true",
        synced=about.get("synced", "true") == "true",
        started=float(about.get("started") or 0),
        age=age,
        stale=age > STALE_SECONDS[role],
        holder=about.get("holder", ""),
        holder_since=about.get("holder_since", ""),
    )


def leaders(watchers: Mapping[str, Member]) -> list[str]:
    return [name for name, one in watchers.items() if one.leader]


def alarms(watchers: Mapping[str, Member], workers: Mapping[str, Member], *, complete: bool) -> tuple[str, ...]:
    """A sentence each."""
    said: list[str] = []
    lead = [name for name in leaders(watchers) if not watchers[name].stale]
    foreign = sorted(
        (one.holder, one.holder_since) for one in watchers.values() if one.holder and one.holder not in watchers
    )
    if not watchers:
        said.append("No watcher runs: nothing new is seen.")
    elif len(lead) > 1:
        said.append(f"{len(lead)} watchers lead: {', '.join(lead)}.")
    elif foreign:
        holder, since = foreign[0]
        since = f" since {since}" if since else ""
        said.append(f"The lease is held by {holder}{since}, none of our watchers (it died just now, or is another's).")
    elif not lead:
        said.append("No watcher leads: nothing new is published.")
    if not workers:
        said.append("No worker runs: nothing is served.")
    for role, members in (("Watcher", watchers), ("Worker", workers)):
        said += [f"{role} {name} has not beaten for {one.age:.0f} s." for name, one in members.items() if one.stale]
    if not complete:
        said.append("The watcher has not written a full list yet: nothing is released until then.")
    return tuple(said)
