"""Who runs: heartbeats in Redis and the watchers' lease. Two that lead, or another's lease, serve pods twice."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cli.doctor.finding import Finding, State
from common.clock import Clock
from common.kube.status import object_in
from common.kube.transport import Request, Transport
from common.settings import Settings
from common.store import Store

AREA = "Processes"
REFERENCE = ("kube-system", "cp-vpc-resource-controller")
"""Namespace and name of the lease of the reference."""
BEATS_MISSED_SECONDS = 12.0
"""A watcher beats every 5 s. What is older may be left of one that was killed."""
LEAVE = (
    "Two controllers on one cluster undo each other's work. Switch the other one off (on EKS: the control plane's), or"
    " run ours with VPC_RC_DISABLE_CONTROLLER=true; both must stand for the same lease (by default they do)"
)

Members = Mapping[str, Mapping[str, str]]


def leaders(watchers: Members) -> list[str]:
    """Those that say that they lead, and said so lately."""
    return [
        name
        for name, about in watchers.items()
        if about.get("leader") == "true" and float(about.get("age", 0)) < BEATS_MISSED_SECONDS
    ]


def check_beats(store: Store, cluster: str) -> Iterator[Finding]:
    """Raises StoreUnavailable."""
    watchers, workers = store.members.alive("watcher"), store.members.alive("worker")
    where = f"heartbeats in Redis under vpcrc:{cluster}:"
    look = "Look at its pods and logs; it must have the same VPC_RC_REDIS_URL and VPC_RC_CLUSTER_NAME as this command"
    lead = leaders(watchers)
    for role, found in (("watcher", watchers), ("worker", workers)):
        if found:
            yield Finding(area=AREA, what=f"{role}s: {len(found)}", where=where)
        else:
            yield Finding(area=AREA, what=f"no {role} runs", state=State.MISSING, where=where, advice=look)
    if len(lead) > 1:
        what = f"{len(lead)} watchers lead: {', '.join(lead)}"
        advice = "VPC_RC_LEADER_ELECT must be true, and VPC_RC_LEASE_NAME and _NAMESPACE the same for all"
        yield Finding(area=AREA, what=what, state=State.WRONG, where=where, advice=advice)
    elif watchers and not lead:
        advice = "See below who holds the lease; a watcher's log says why it does not get it"
        yield Finding(area=AREA, what="no watcher leads", state=State.MISSING, where=where, advice=advice)
    elif lead:
        yield Finding(area=AREA, what=f"leader {lead[0]}", where=where)
    if watchers and not store.desired.is_complete():
        advice = "It has just started, or some list cannot be read: see its log. Nothing is released until then"
        yield Finding(area=AREA, what="full list of the watcher", state=State.UNKNOWN, where=where, advice=advice)


def check_leases(transport: Transport, settings: Settings, watchers: Members | None, clock: Clock) -> Iterator[Finding]:
    """`watchers`: that beat; None: Redis did not say. Raises OutsideError."""
    own = (settings.lease_namespace, settings.lease_name)
    yield from _lease(transport, own, watchers, clock, needed=settings.leader_elect)
    if own != REFERENCE:
        yield from _lease(transport, REFERENCE, watchers, clock, needed=False)


def _lease(
    transport: Transport, lease: tuple[str, str], watchers: Members | None, clock: Clock, *, needed: bool
) -> Iterator[Finding]:
    namespace, name = lease
    where = f"Lease {namespace}/{name}"
    answer = transport.send(Request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"))
    spec: Mapping[str, Any] = {}
    if answer.status != 404:
        spec = object_in(answer, name).get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    age = _age(spec, clock)
    if not holder or age > float(spec.get("leaseDurationSeconds") or 30):
        if needed:
            said = f"; {holder} did not renew it for {age:.0f} s" if holder else ""
            advice = f"No watcher leads{said}. Start the watchers and see their logs"
            yield Finding(area=AREA, what="nobody holds the lease", state=State.MISSING, where=where, advice=advice)
    elif watchers is None:
        what = f"lease held by {holder}"
        yield Finding(area=AREA, what=what, state=State.UNKNOWN, where=where, advice="Redis does not say who is ours")
    elif holder in watchers and needed:
        yield Finding(area=AREA, what="the lease is ours", where=where)
    else:
        since = spec.get("acquireTime") or "an unknown time"
        yield Finding(
            area=AREA,
            what=f"{holder} holds the lease since {since}, which is none of our watchers",
            state=State.WRONG,
            where=where,
            advice=LEAVE,
        )


def _age(spec: Mapping[str, Any], clock: Clock) -> float:
    """Seconds since the last renewal."""
    try:
        renewed = datetime.fromisoformat(str(spec.get("renewTime") or "")).timestamp()
    except ValueError:
        return 0.0
    return max(0.0, clock.now() - renewed)
