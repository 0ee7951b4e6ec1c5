"""Addresses that pods have: what their annotations name and what they run with, the annotation that we write, their
end."""

from collections.abc import Set as AbstractSet

import msgspec

from common.model.actions import Annotate
from common.model.errors import Conflict, NotFound, OutsideError
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, InstanceFacts, Pool
from common.model.names import PRIVATE_IPV4
from common.model.notice import EventReason, Severity
from common.model.outcome import Reviewed
from common.model.pod import PodRequest, is_live
from common.node.confirming import ask_about_pod
from common.node.retry import PASSING
from common.node.state import NodeState, Planning
from common.node.windows.contents import (
    address_named,
    address_of,
    is_lost,
    last_use,
    named_by,
    noted,
    prefix_of,
    reserved,
)
from common.node.windows.pool import addresses_of
from common.node.windows.subjects import pool_of
from common.rules import subjects


def put(state: Planning, address: Address) -> None:
    """On record as its pod's."""
    pool = pool_of(state)
    pool = msgspec.structs.replace(pool, addresses={**pool.addresses, address.ip: address})
    state.set_pool(noted(pool, address, address.pod_uid, state.now))


def owned(address: Address, pod: PodRequest, now: float, *, annotated: bool) -> Address:
    return msgspec.structs.replace(
        address,
        state=AddressState.ASSIGNED,
        unasked=False,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        annotated=annotated,
        since=now,
    )


def observe_annotations(state: Planning) -> None:
    """What a living pod runs with is its own. What its annotation names is, too, unless it is another's on record, or
    the pod has an address on record; of several that name one address it is the oldest's."""
    pool = pool_of(state)
    for pod in state.desired.pods.values():
        named, has = address_named(pod), address_of(pod, pool.addresses.keys(), pool.prefixes)
        if named is not None and has is not None and named != has:
            what = f"The pod's annotation names {named}, and the pod runs with {has}"
            state.emit_pod_once(pod, EventReason.ANNOTATION_NOT_VERIFIED, what, Severity.WARNING)
        if pod.ip_annotation is not None and not pod.finished and named is None:
            what = f"Pod {pod.namespace}/{pod.name} carries an annotation {PRIVATE_IPV4} that cannot be read"
            if state.first_time(subjects.annotation(pod.uid), what):
                state.emit_node(EventReason.POD_ANNOTATION_MALFORMED, what, Severity.WARNING)
                state.emit_pod(pod, EventReason.POD_ANNOTATION_MALFORMED, what, Severity.WARNING)
    for ip, pods in named_by(state.desired.pods, pool.addresses.keys(), pool.prefixes).items():
        address = pool_of(state).addresses.get(ip)
        owner = _owner(state, ip, pods)
        for pod in pods:
            if owner is None:
                what = f"The pod's annotation names {ip}, and the pod was given another address"
                state.emit_pod_once(pod, EventReason.ANNOTATION_NOT_VERIFIED, what, Severity.WARNING)
            elif pod is not owner:
                what = f"The pod's annotation names {ip}, which pod {owner.namespace}/{owner.name} has"
                state.emit_pod_once(pod, EventReason.ADDRESS_SHARED, what, Severity.WARNING)
        if owner is None:
            continue
        if address is None:
            prefix = prefix_of(ip, pool_of(state).prefixes)
            if prefix is not None:
                put(state, owned(Address(ip=ip, prefix=prefix), owner, state.now, annotated=True))
        elif address.pod_uid != owner.uid or not address.annotated or address.state is not AddressState.ASSIGNED:
            put(state, owned(address, owner, state.now, annotated=True))


def _owner(state: Planning, ip: Ipv4, pods: list[PodRequest]) -> PodRequest | None:
    """The owner among `pods` that may have the address, in their order; None where it is another's."""
    if pods[0].pod_ip == ip:
        return pods[0]
    on_record = {a.pod_uid: a.ip for a in pool_of(state).addresses.values() if a.state is AddressState.ASSIGNED}
    holder = next((uid for uid, has in on_record.items() if has == ip), None)
    if holder is not None and is_live(pod := state.desired.pods.get(holder)):
        return pod
    return next((pod for pod in pods if on_record.get(pod.uid, ip) == ip), None)


def release_ended(state: Planning) -> None:
    """No address leaves a pod before the API server itself has said that the pod is gone or finished. It is asked about
    so many at a time that there is room for what pods wait for."""
    if not state.desired.complete:
        return
    for address in pool_of(state).addresses.values():
        if address.state is not AddressState.ASSIGNED or is_live(state.desired.pods.get(address.pod_uid)):
            continue
        asked = sum(subjects.is_kind(busy, subjects.POD) for busy in state.busy)
        if asked < state.options.in_flight // 2:
            ask_about_pod(state, address.pod_uid, address.pod_namespace, address.pod_name)


def annotate(state: Planning, instance: InstanceFacts) -> None:
    bits = instance.subnet.cidr.rsplit("/", 1)[-1]
    for address in pool_of(state).addresses.values():
        subject, pod = subjects.annotate(address.pod_uid), state.desired.pods.get(address.pod_uid)
        if address.state is not AddressState.ASSIGNED or pod is None or not is_live(pod):
            continue
        if address.annotated and (pod.ip_annotation is not None or not state.unseen_for_long(address.since)):
            continue
        if state.may(subject):
            put(state, msgspec.structs.replace(address, since=state.now))
            length = "32" if address.prefix is not None else bits
            state.start(
                Annotate(
                    subject=subject,
                    pod_uid=pod.uid,
                    namespace=pod.namespace,
                    name=pod.name,
                    annotation=PRIVATE_IPV4,
                    value=f"{address.ip}/{length}",
                    instance_id=instance.instance_id,
                )
            )


def annotated(state: NodeState, action: Annotate, stands: str) -> None:
    """`stands` is the annotation that the pod has now: ours, or the one that it had before."""
    pool = state.ledger.pool
    if pool is None:
        return
    named = {ip for ip in pool.addresses if ip == stands.split("/")[0]}
    addresses = {
        ip: msgspec.structs.replace(a, annotated=True) if ip in named and _is_of(a, action.pod_uid) else a
        for ip, a in pool.addresses.items()
    }
    state.set_pool(_rests(msgspec.structs.replace(pool, addresses=addresses), action.pod_uid, state.now, but=named))
    if stands == action.value:
        state.emit_pod(
            action, EventReason.RESOURCE_ALLOCATED, f"Allocated Resource {action.annotation}: {action.value} to the pod"
        )


def pod_ended(state: NodeState, uid: PodUid) -> None:
    """Its address begins to rest."""
    if state.ledger.pool is not None:
        state.set_pool(_rests(state.ledger.pool, uid, state.now))


def _is_of(address: Address, uid: PodUid) -> bool:
    return address.pod_uid == uid and address.state is AddressState.ASSIGNED


def _rests(pool: Pool, uid: PodUid, now: float, but: AbstractSet[str] = frozenset()) -> Pool:
    """The pod's addresses begin to rest, all `but` some, by the API server's word; those that are not the node's any
    more leave the record."""
    addresses = dict(pool.addresses)
    for ip, address in pool.addresses.items():
        if not _is_of(address, uid) or ip in but:
            continue
        if is_lost(pool, address):
            del addresses[ip]
        else:
            addresses[ip] = Address(ip=ip, prefix=address.prefix, state=AddressState.COOLING, since=now)
            pool = noted(pool, address, uid, now, word_at=now)
    missing = {k: at for k, at in pool.missing.items() if k in addresses or k in pool.prefixes}
    return msgspec.structs.replace(pool, addresses=addresses, missing=missing)


def reviewed(state: NodeState, found: Reviewed) -> None:
    """Addresses that were found in EC2: a living pod's are its own, the others are nobody's. What is free and no living
    pod has may be given back by this word."""
    pool = state.ledger.pool
    if pool is None:
        return
    named = reserved({pod.uid: pod for pod in found.pods if not pod.finished}, pool.addresses.keys(), pool.prefixes)
    addresses = dict(pool.addresses)
    for ip, address in pool.addresses.items():
        if address.unasked and address.since <= found.began_at and ip not in named:
            addresses[ip] = msgspec.structs.replace(address, unasked=False)
    on_record = {a.pod_uid: ip for ip, a in addresses.items() if a.state is AddressState.ASSIGNED}
    for ip, pod in named.items():
        known = addresses.get(ip) or Address(ip=ip, prefix=prefix_of(ip, pool.prefixes))
        free = known.unasked or known.state is AddressState.WARM
        if free and (ip in addresses or known.prefix is not None) and on_record.get(pod.uid, ip) == ip:
            addresses[ip] = owned(known, pod, state.now, annotated=True)
            pool = noted(pool, known, pod.uid, state.now)
    had = {ip for ip, a in addresses.items() if a.state is AddressState.ASSIGNED}
    uses = dict(pool.uses)
    free_ones: list[Ipv4 | Prefix] = [*(ip for ip, a in addresses.items() if a.prefix is None), *pool.prefixes]
    for key in free_ones:
        use = last_use(pool, key)
        if use.word_at < use.at <= found.began_at and had.isdisjoint(_within(pool, key)):
            uses[key] = msgspec.structs.replace(use, word_at=found.began_at)
    state.set_pool(msgspec.structs.replace(pool, addresses=addresses, uses=uses))


def _within(pool: Pool, key: Ipv4 | Prefix) -> tuple[Ipv4, ...]:
    return addresses_of(Prefix(key)) if key in pool.prefixes else (Ipv4(key),)


def not_annotated(state: NodeState, action: Annotate, error: OutsideError) -> None:
    """NotFound and Conflict: it is gone, or another of the same name. The watch tells, and the API server confirms."""
    if not isinstance(error, (NotFound, Conflict, *PASSING)):
        state.emit_pod(
            action,
            EventReason.RESOURCE_ALLOCATION_FAILED,
            f"The annotation could not be written: {error}",
            Severity.WARNING,
        )
