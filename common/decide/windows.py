"""Chapter: a Windows node's pool of addresses, and the pods that take from it."""

import msgspec

from common.decide.draft import IDLE, NEVER, Draft
from common.decide.pool_contents import address_named, prefix_of, reserved
from common.decide.warm_pool import (
    GiveBack,
    PoolMode,
    capacity,
    deviation,
    mode_for,
    next_rested_at,
    pick_address,
    releasable,
    rested,
    slots_of,
    targets_for,
)
from common.model.actions import (
    Advertise,
    Annotate,
    AssignAddresses,
    AssignPrefixes,
    ConfirmGone,
    InspectPool,
    UnassignAddresses,
    UnassignPrefixes,
)
from common.model.config import ClusterConfig
from common.model.ids import Ipv4
from common.model.ledger import Address, AddressState, InstanceFacts, Pool
from common.model.limits import InstanceLimits
from common.model.names import PRIVATE_IPV4
from common.model.node import NodeFacts
from common.model.notice import Severity
from common.model.pod import PodWish, is_live

SUBJECT = "pool"
RELEASE = "pool/release"
CAPACITY = "capacity"
BURST_SECONDS = 0.5
"""Pods that come closer together than this are one burst."""
SCARCE_SHARE = 0.5
"""Of EC2's burst of address calls: with less of it left, calls are saved."""
SCARCE_BURST_SECONDS, LONGEST_HOLD_SECONDS = 0.7, 4.0
"""Then a burst is over after so long without a pod, and no pod waits longer for others."""


def keep_windows(draft: Draft, node: NodeFacts) -> None:
    instance, config = draft.ledger.instance, draft.desired.config
    assert instance is not None
    assert config is not None
    limits = windows_limits(draft, instance)
    if limits is None:
        draft.tell_node_once(
            "unsupported",
            "Unsupported",
            f"The instance type {instance.instance_type} is not supported yet by the vpc resource controller",
            Severity.WARNING,
        )
        return
    mode = _mode(draft, instance, limits, config)
    amount = capacity(limits.ipv4_per_interface, mode)
    if node.capacity.get(PRIVATE_IPV4) != str(amount) and draft.may(CAPACITY):
        draft.start(Advertise(subject=CAPACITY, node=node.name, resource=PRIVATE_IPV4, amount=amount))
    _set(draft, rested(draft.ledger.pool or Pool(), draft.now))
    _observe_annotations(draft)
    _release_ended(draft)
    waiting = _serve(draft, mode)
    _annotate(draft, instance)
    _balance(draft, instance, limits, config, mode, waiting)
    if waiting:
        _tell_waiting(draft, waiting)
    draft.look_at(next_rested_at(_pool(draft)) or NEVER)


def windows_limits(draft: Draft, instance: InstanceFacts) -> InstanceLimits | None:
    """Ours, else those that EC2 tells: they lack only what a trunk needs."""
    return draft.options.limits.get(instance.instance_type, instance.limits)


def _mode(draft: Draft, instance: InstanceFacts, limits: InstanceLimits, config: ClusterConfig) -> PoolMode:
    if config.prefix_delegation and not limits.nitro:
        draft.tell_node_once(
            "unsupported",
            "Unsupported",
            f"The instance type {instance.instance_type} is not built on Nitro and cannot have prefixes: its pods get "
            "secondary addresses",
            Severity.WARNING,
        )
    else:
        draft.forget_told("unsupported")
    return mode_for(config, nitro=limits.nitro)


def _pool(draft: Draft) -> Pool:
    pool = draft.ledger.pool
    assert pool is not None
    return pool


def _set(draft: Draft, pool: Pool) -> None:
    if pool is not draft.ledger.pool:
        draft.change(pool=pool)


def _put(draft: Draft, address: Address) -> None:
    pool = _pool(draft)
    _set(draft, msgspec.structs.replace(pool, addresses={**pool.addresses, address.ip: address}))


def _owned(address: Address, pod: PodWish, now: float, *, annotated: bool) -> Address:
    return msgspec.structs.replace(
        address,
        state=AddressState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        annotated=annotated,
        since=now,
    )


def _observe_annotations(draft: Draft) -> None:
    """A living pod's annotation says which address is its own, whatever the ledger thought."""
    for pod in draft.desired.pods.values():
        if pod.ip_annotation is None or pod.finished:
            continue
        ip = address_named(pod)
        if ip is None:
            draft.tell_node_once(
                f"annotation/{pod.uid}",
                "PodAnnotationMalformed",
                f"Pod {pod.namespace}/{pod.name} carries an annotation {PRIVATE_IPV4} that cannot be read",
                Severity.WARNING,
            )
            continue
        address = _pool(draft).addresses.get(ip)
        if address is None:
            prefix = prefix_of(ip, _pool(draft).prefixes)
            if prefix is not None:
                _put(draft, _owned(Address(ip=ip, prefix=prefix), pod, draft.now, annotated=True))
        elif address.pod_uid != pod.uid or not address.annotated or address.state is not AddressState.ASSIGNED:
            _put(draft, _owned(address, pod, draft.now, annotated=True))


def _release_ended(draft: Draft) -> None:
    """No address leaves a pod before the API server itself has said that the pod is gone or finished."""
    if not draft.desired.complete:
        return
    for address in _pool(draft).addresses.values():
        if address.state is not AddressState.ASSIGNED or is_live(draft.desired.pods.get(address.pod_uid)):
            continue
        subject = f"pod/{address.pod_uid}"
        if draft.may(subject):
            draft.start(
                ConfirmGone(
                    subject=subject,
                    pod_uid=address.pod_uid,
                    namespace=address.pod_namespace,
                    name=address.pod_name,
                )
            )


def _serve(draft: Draft, mode: PoolMode) -> list[PodWish]:
    """Give addresses to pods in the order in which they were scheduled; those left over."""
    has = {a.pod_uid for a in _pool(draft).addresses.values() if a.state is AddressState.ASSIGNED}
    wishing = sorted(
        (
            p
            for p in draft.desired.pods.values()
            if p.addresses > 0 and not p.finished and not p.deleting and p.ip_annotation is None and p.uid not in has
        ),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    names = frozenset(reserved(draft.desired.pods))
    for position, pod in enumerate(wishing):
        address = pick_address(_pool(draft), mode, names) if not _pool(draft).suspect else None
        if address is None:
            return wishing[position:]
        _put(draft, _owned(address, pod, draft.now, annotated=False))
    return []


def _annotate(draft: Draft, instance: InstanceFacts) -> None:
    bits = instance.subnet.cidr.rsplit("/", 1)[-1]
    for address in _pool(draft).addresses.values():
        subject, pod = f"annotate/{address.pod_uid}", draft.desired.pods.get(address.pod_uid)
        if address.state is not AddressState.ASSIGNED or pod is None or not is_live(pod):
            continue
        if address.annotated and (pod.ip_annotation is not None or not draft.unseen_for_long(address.since)):
            continue
        if draft.may(subject):
            _put(draft, msgspec.structs.replace(address, since=draft.now))
            length = "32" if address.prefix is not None else bits
            draft.start(
                Annotate(
                    subject=subject,
                    pod_uid=pod.uid,
                    namespace=pod.namespace,
                    name=pod.name,
                    annotation=PRIVATE_IPV4,
                    value=f"{address.ip}/{length}",
                )
            )


def _balance(
    draft: Draft,
    instance: InstanceFacts,
    limits: InstanceLimits,
    config: ClusterConfig,
    mode: PoolMode,
    waiting: list[PodWish],
) -> None:
    """Towards the targets: one call at a time each way, as many addresses in it as are wanted. Pods with an address
    get their annotations first; the pool is filled up after that."""
    if draft.ledger.audit_at == 0.0:
        _next_audit(draft)
    elif draft.ledger.audit_at <= draft.now:
        _set(draft, msgspec.structs.replace(_pool(draft), suspect=True))
        _next_audit(draft)
    else:
        draft.look_at(draft.ledger.audit_at)
    pool, busy = _pool(draft), draft.busy & {SUBJECT, RELEASE}
    if pool.suspect or (pool.assigning and SUBJECT not in draft.busy):
        _set(draft, msgspec.structs.replace(pool, suspect=True))
        if not busy and draft.may(SUBJECT):
            draft.start(InspectPool(subject=SUBJECT, eni_id=instance.primary_eni))
        return
    annotating = any(subject.startswith("annotate/") for subject in draft.busy)
    if annotating and not waiting:
        return
    targets, slots = targets_for(config, mode), slots_of(limits.ipv4_per_interface)
    names = frozenset(reserved(draft.desired.pods))
    wanted = deviation(pool, targets, slots, len(waiting), names)
    filled_at = _asked_at(draft, waiting) if waiting else _burst_over(pool)
    if wanted > 0 and filled_at > draft.now:
        draft.look_at(filled_at)
    elif wanted > 0 and draft.may(SUBJECT):
        _set(draft, msgspec.structs.replace(pool, assigning=wanted))
        kind = AssignPrefixes if mode is PoolMode.PREFIX else AssignAddresses
        draft.start(kind(subject=SUBJECT, eni_id=instance.primary_eni, count=wanted))
    _give_back(draft, instance, releasable(_pool(draft), targets, slots, len(waiting), names))


def _asked_at(draft: Draft, waiting: list[PodWish]) -> float:
    """The moment at which addresses for waiting pods may be asked for: now, while EC2's limit is far. Near it, pods
    that come together share a call, for nodes that ask for every pod of theirs make each other wait; a call that has
    waited for its turn has waited enough."""
    if draft.spare >= SCARCE_SHARE or draft.ledger.paces.get(SUBJECT, IDLE).turn:
        return draft.now
    came = [pod.seen_at for pod in waiting]
    return min(max(came) + SCARCE_BURST_SECONDS, min(came) + LONGEST_HOLD_SECONDS)


def _burst_over(pool: Pool) -> float:
    """The moment at which the pool may be filled up again: pods that come together are served from what is there, and
    their addresses replaced in one call."""
    given = [a.since for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
    return max(given, default=0.0) + BURST_SECONDS


def _give_back(draft: Draft, instance: InstanceFacts, excess: GiveBack) -> None:
    pool = _pool(draft)
    free: tuple[Ipv4, ...] = excess.addresses
    again = tuple(a.ip for a in pool.addresses.values() if a.state is AddressState.RELEASING)
    prefixes = (*pool.releasing_prefixes, *excess.prefixes)
    if not draft.desired.complete or not (free or again or prefixes) or not draft.may(RELEASE):
        return
    if free or again:
        addresses = {**pool.addresses}
        for ip in free:
            addresses[ip] = msgspec.structs.replace(addresses[ip], state=AddressState.RELEASING, since=draft.now)
        _set(draft, msgspec.structs.replace(pool, addresses=addresses))
        draft.start(UnassignAddresses(subject=RELEASE, eni_id=instance.primary_eni, addresses=(*again, *free)))
    else:
        held = {p: since for p, since in pool.prefixes.items() if p not in prefixes}
        _set(draft, msgspec.structs.replace(pool, prefixes=held, releasing_prefixes=prefixes))
        draft.start(UnassignPrefixes(subject=RELEASE, eni_id=instance.primary_eni, prefixes=prefixes))


def _next_audit(draft: Draft) -> None:
    longest, first = draft.options.audit_longest, draft.options.audit_first
    interval = min(longest, draft.ledger.audit_interval * 2) if draft.ledger.audit_interval else first
    at = draft.now + interval * (0.75 + 0.5 * draft.jitter)
    draft.change(audit_at=at, audit_interval=interval)
    draft.look_at(at)


def _tell_waiting(draft: Draft, waiting: list[PodWish]) -> None:
    pool, pace = _pool(draft), draft.ledger.paces.get(SUBJECT)
    resting = next_rested_at(pool)
    if pace is not None and pace.code:
        why = f"EC2 gave none ({pace.code}), asked again in {max(1, round(pace.not_before - draft.now))}s"
    elif pool.assigning or pool.suspect:
        why = "Warm pool is currently empty, addresses are being created"
    elif resting is not None:
        why = f"addresses are being cooled down, the next is free in {max(1, round(resting - draft.now))}s"
    else:
        why = "all addresses that the node can have are in use"
    for pod in waiting:
        if draft.first_time(f"pod/{pod.uid}", why.split(",")[0]):
            draft.tell_pod(pod, "ResourceAllocationFailed", f"{PRIVATE_IPV4}: {why}", Severity.WARNING)
