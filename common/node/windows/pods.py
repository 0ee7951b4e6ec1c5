"""Chapter: a Windows node's pool of addresses, and the pods that take from it."""

import msgspec

from common.model.actions import Advertise, Annotate, ConfirmGone
from common.model.config import ClusterConfig
from common.model.ids import Ipv4
from common.model.ledger import Address, AddressState, InstanceFacts, Pool
from common.model.limits import InstanceLimits
from common.model.names import PRIVATE_IPV4
from common.model.node import NodeFacts
from common.model.notice import Severity
from common.model.pod import PodWish, is_live
from common.node.branch.releasing import review
from common.node.state import NEVER, Planning
from common.node.windows.calls import ask, give_back, look, pool_of, why_none
from common.node.windows.contents import address_named, address_of, named_by, prefix_of, reserved
from common.node.windows.pool import (
    PoolMode,
    capacity,
    mode_for,
    next_rested_at,
    next_to_ask_at,
    pick_address,
    rested,
    slots_of,
    targets_for,
)
from common.rules import subjects

CAPACITY = "capacity"


def keep_windows(state: Planning, node: NodeFacts) -> None:
    instance, config = state.ledger.instance, state.desired.config
    assert instance is not None
    assert config is not None
    limits = windows_limits(state, instance)
    if limits is None:
        state.tell_node_once(
            "unsupported",
            "Unsupported",
            f"The instance type {instance.instance_type} is not supported yet by the vpc resource controller",
            Severity.WARNING,
        )
        return
    mode = _mode(state, instance, limits, config)
    amount = capacity(limits.ipv4_per_interface, mode)
    if node.capacity.get(PRIVATE_IPV4) != str(amount) and state.may(CAPACITY):
        state.start(
            Advertise(subject=CAPACITY, node=node.name, node_uid=node.uid, resource=PRIVATE_IPV4, amount=amount)
        )
    state.set_pool(rested(state.ledger.pool or Pool(), state.now))
    _observe_annotations(state)
    _ask_about_found(state)
    pool = pool_of(state)
    names = frozenset(reserved(state.desired.pods, pool.addresses.keys(), pool.prefixes))
    waiting = _serve(state, mode, names)
    eni_id, targets, slots = instance.primary_eni, targets_for(config, mode), slots_of(limits.ipv4_per_interface)
    look(state, eni_id)
    if waiting:
        ask(state, eni_id, targets, slots, waiting, names)
    _annotate(state, instance)
    # Pods with an address get their annotations first; the pool is filled up, or emptied, after that.
    if waiting or not any(subjects.is_kind(subject, subjects.ANNOTATE) for subject in state.busy):
        if not waiting:
            ask(state, eni_id, targets, slots, waiting, names)
        give_back(state, eni_id, targets, slots, len(waiting), names)
    _release_ended(state)
    if waiting:
        _tell_waiting(state, mode, waiting)
    state.look_at(next_rested_at(pool_of(state)) or NEVER)


def windows_limits(state: Planning, instance: InstanceFacts) -> InstanceLimits | None:
    """Ours, else those that EC2 tells: they lack only what a trunk needs."""
    return state.options.limits.get(instance.instance_type, instance.limits)


def _ask_about_found(state: Planning) -> None:
    """What was found in EC2 has rested: the API server says which of it living pods have."""
    due = next_to_ask_at(pool_of(state))
    if due is not None and due > state.now:
        state.look_at(due)
    elif due is not None:
        review(state, [])


def _mode(state: Planning, instance: InstanceFacts, limits: InstanceLimits, config: ClusterConfig) -> PoolMode:
    if config.prefix_delegation and not limits.nitro:
        state.tell_node_once(
            "unsupported",
            "Unsupported",
            f"The instance type {instance.instance_type} is not built on Nitro and cannot have prefixes: its pods get "
            "secondary addresses",
            Severity.WARNING,
        )
    else:
        state.forget_told("unsupported")
    return mode_for(config, nitro=limits.nitro)


def _put(state: Planning, address: Address) -> None:
    pool = pool_of(state)
    state.set_pool(msgspec.structs.replace(pool, addresses={**pool.addresses, address.ip: address}))


def _owned(address: Address, pod: PodWish, now: float, *, annotated: bool) -> Address:
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


def _observe_annotations(state: Planning) -> None:
    """What a living pod runs with is its own. What its annotation names is, too, unless it is another's on record, or
    the pod has an address on record; of several that name one address it is the oldest's."""
    pool = pool_of(state)
    for pod in state.desired.pods.values():
        named, has = address_named(pod), address_of(pod, pool.addresses.keys(), pool.prefixes)
        if named is not None and has is not None and named != has:
            what = f"The pod's annotation names {named}, and the pod runs with {has}"
            state.tell_pod_once(pod, "AnnotationNotVerified", what, Severity.WARNING)
        if pod.ip_annotation is not None and not pod.finished and named is None:
            state.tell_node_once(
                subjects.annotation(pod.uid),
                "PodAnnotationMalformed",
                f"Pod {pod.namespace}/{pod.name} carries an annotation {PRIVATE_IPV4} that cannot be read",
                Severity.WARNING,
            )
    for ip, pods in named_by(state.desired.pods, pool.addresses.keys(), pool.prefixes).items():
        address = pool_of(state).addresses.get(ip)
        owner = _owner(state, ip, pods)
        for pod in pods:
            if owner is None:
                what = f"The pod's annotation names {ip}, and the pod was given another address"
                state.tell_pod_once(pod, "AnnotationNotVerified", what, Severity.WARNING)
            elif pod is not owner:
                what = f"The pod's annotation names {ip}, which pod {owner.namespace}/{owner.name} has"
                state.tell_pod_once(pod, "AddressShared", what, Severity.WARNING)
        if owner is None:
            continue
        if address is None:
            prefix = prefix_of(ip, pool_of(state).prefixes)
            if prefix is not None:
                _put(state, _owned(Address(ip=ip, prefix=prefix), owner, state.now, annotated=True))
        elif address.pod_uid != owner.uid or not address.annotated or address.state is not AddressState.ASSIGNED:
            _put(state, _owned(address, owner, state.now, annotated=True))


def _owner(state: Planning, ip: Ipv4, pods: list[PodWish]) -> PodWish | None:
    """Of pods that may have the address, in their order."""
    if pods[0].pod_ip == ip:
        return pods[0]
    on_record = {a.pod_uid: a.ip for a in pool_of(state).addresses.values() if a.state is AddressState.ASSIGNED}
    holder = next((uid for uid, has in on_record.items() if has == ip), None)
    if holder is not None and is_live(pod := state.desired.pods.get(holder)):
        return pod
    return next((pod for pod in pods if on_record.get(pod.uid, ip) == ip), None)


def _release_ended(state: Planning) -> None:
    """No address leaves a pod before the API server itself has said that the pod is gone or finished. It is asked about
    so many at a time that there is room for what pods wait for."""
    if not state.desired.complete:
        return
    for address in pool_of(state).addresses.values():
        if address.state is not AddressState.ASSIGNED or is_live(state.desired.pods.get(address.pod_uid)):
            continue
        subject = subjects.pod(address.pod_uid)
        asked = sum(subjects.is_kind(busy, subjects.POD) for busy in state.busy)
        if asked < state.options.in_flight // 2 and state.may(subject):
            state.start(
                ConfirmGone(
                    subject=subject,
                    pod_uid=address.pod_uid,
                    namespace=address.pod_namespace,
                    name=address.pod_name,
                )
            )


def _serve(state: Planning, mode: PoolMode, names: frozenset[Ipv4]) -> list[PodWish]:
    """Give addresses to pods in the order in which they were scheduled; those left over."""
    has = {a.pod_uid for a in pool_of(state).addresses.values() if a.state is AddressState.ASSIGNED}
    wishing = sorted(
        (
            p
            for p in state.desired.pods.values()
            if p.addresses > 0 and not p.finished and not p.deleting and p.ip_annotation is None and p.uid not in has
        ),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    for position, pod in enumerate(wishing):
        address = pick_address(pool_of(state), mode, names)
        if address is None:
            return wishing[position:]
        _put(state, _owned(address, pod, state.now, annotated=False))
    return []


def _annotate(state: Planning, instance: InstanceFacts) -> None:
    bits = instance.subnet.cidr.rsplit("/", 1)[-1]
    for address in pool_of(state).addresses.values():
        subject, pod = subjects.annotate(address.pod_uid), state.desired.pods.get(address.pod_uid)
        if address.state is not AddressState.ASSIGNED or pod is None or not is_live(pod):
            continue
        if address.annotated and (pod.ip_annotation is not None or not state.unseen_for_long(address.since)):
            continue
        if state.may(subject):
            _put(state, msgspec.structs.replace(address, since=state.now))
            length = "32" if address.prefix is not None else bits
            state.start(
                Annotate(
                    subject=subject,
                    pod_uid=pod.uid,
                    namespace=pod.namespace,
                    name=pod.name,
                    annotation=PRIVATE_IPV4,
                    value=f"{address.ip}/{length}",
                )
            )


def _tell_waiting(state: Planning, mode: PoolMode, waiting: list[PodWish]) -> None:
    why = why_none(state, mode, next_rested_at(pool_of(state)))
    for pod in waiting:
        if state.first_time(subjects.pod(pod.uid), why.split(",")[0]):
            state.tell_pod(pod, "ResourceAllocationFailed", f"{PRIVATE_IPV4}: {why}", Severity.WARNING)
