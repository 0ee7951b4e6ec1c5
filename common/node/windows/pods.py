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
from common.node.state import NEVER, Draft
from common.node.windows.calls import ask, give_back, look, pool_of, put_pool, why_none
from common.node.windows.contents import address_named, address_of, known_in, named_by, prefix_of, reserved
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
COMPARED_SECONDS = 1.0
"""Between looks whether what was read is compared with the cluster after a restart of Redis: the watcher takes a second
or two."""


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
        draft.start(
            Advertise(subject=CAPACITY, node=node.name, node_uid=node.uid, resource=PRIVATE_IPV4, amount=amount)
        )
    epoch = draft.desired.epoch
    if epoch is None:
        # Who has which address is not known: none is given to a pod or to EC2.
        draft.look_at(draft.now + COMPARED_SECONDS)
        return
    put_pool(draft, rested(known_in(draft.ledger.pool or Pool(), epoch, draft.now), draft.now))
    _observe_annotations(draft)
    _ask_about_found(draft)
    pool = pool_of(draft)
    names = frozenset(reserved(draft.desired.pods, pool.addresses.keys(), pool.prefixes))
    waiting = _serve(draft, mode, names)
    eni_id, targets, slots = instance.primary_eni, targets_for(config, mode), slots_of(limits.ipv4_per_interface)
    look(draft, eni_id)
    if waiting:
        ask(draft, eni_id, targets, slots, waiting, names)
    _annotate(draft, instance)
    # Pods with an address get their annotations first; the pool is filled up, or emptied, after that.
    if waiting or not any(subjects.is_kind(subject, subjects.ANNOTATE) for subject in draft.busy):
        if not waiting:
            ask(draft, eni_id, targets, slots, waiting, names)
        give_back(draft, eni_id, targets, slots, len(waiting), names)
    _release_ended(draft)
    if waiting:
        _tell_waiting(draft, mode, waiting)
    draft.look_at(next_rested_at(pool_of(draft)) or NEVER)


def windows_limits(draft: Draft, instance: InstanceFacts) -> InstanceLimits | None:
    """Ours, else those that EC2 tells: they lack only what a trunk needs."""
    return draft.options.limits.get(instance.instance_type, instance.limits)


def _ask_about_found(draft: Draft) -> None:
    """What was found in EC2 has rested: the API server says which of it living pods have."""
    due = next_to_ask_at(pool_of(draft))
    if due is not None and due > draft.now:
        draft.look_at(due)
    elif due is not None:
        review(draft, [])


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


def _put(draft: Draft, address: Address) -> None:
    pool = pool_of(draft)
    put_pool(draft, msgspec.structs.replace(pool, addresses={**pool.addresses, address.ip: address}))


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


def _observe_annotations(draft: Draft) -> None:
    """What a living pod runs with is its own. What its annotation names is, too, unless it is another's on record, or
    the pod has an address on record; of several that name one address it is the oldest's."""
    pool = pool_of(draft)
    for pod in draft.desired.pods.values():
        named, has = address_named(pod), address_of(pod, pool.addresses.keys(), pool.prefixes)
        if named is not None and has is not None and named != has:
            what = f"The pod's annotation names {named}, and the pod runs with {has}"
            draft.tell_pod_once(pod, "AnnotationNotVerified", what, Severity.WARNING)
        if pod.ip_annotation is not None and not pod.finished and named is None:
            draft.tell_node_once(
                subjects.annotation(pod.uid),
                "PodAnnotationMalformed",
                f"Pod {pod.namespace}/{pod.name} carries an annotation {PRIVATE_IPV4} that cannot be read",
                Severity.WARNING,
            )
    for ip, pods in named_by(draft.desired.pods, pool.addresses.keys(), pool.prefixes).items():
        address = pool_of(draft).addresses.get(ip)
        owner = _owner(draft, ip, pods)
        for pod in pods:
            if owner is None:
                what = f"The pod's annotation names {ip}, and the pod was given another address"
                draft.tell_pod_once(pod, "AnnotationNotVerified", what, Severity.WARNING)
            elif pod is not owner:
                what = f"The pod's annotation names {ip}, which pod {owner.namespace}/{owner.name} has"
                draft.tell_pod_once(pod, "AddressShared", what, Severity.WARNING)
        if owner is None:
            continue
        if address is None:
            prefix = prefix_of(ip, pool_of(draft).prefixes)
            if prefix is not None:
                _put(draft, _owned(Address(ip=ip, prefix=prefix), owner, draft.now, annotated=True))
        elif address.pod_uid != owner.uid or not address.annotated or address.state is not AddressState.ASSIGNED:
            _put(draft, _owned(address, owner, draft.now, annotated=True))


def _owner(draft: Draft, ip: Ipv4, pods: list[PodWish]) -> PodWish | None:
    """Of pods that may have the address, in their order."""
    if pods[0].pod_ip == ip:
        return pods[0]
    on_record = {a.pod_uid: a.ip for a in pool_of(draft).addresses.values() if a.state is AddressState.ASSIGNED}
    holder = next((uid for uid, has in on_record.items() if has == ip), None)
    if holder is not None and is_live(pod := draft.desired.pods.get(holder)):
        return pod
    return next((pod for pod in pods if on_record.get(pod.uid, ip) == ip), None)


def _release_ended(draft: Draft) -> None:
    """No address leaves a pod before the API server itself has said that the pod is gone or finished. It is asked about
    so many at a time that there is room for what pods wait for."""
    if not draft.desired.complete:
        return
    for address in pool_of(draft).addresses.values():
        if address.state is not AddressState.ASSIGNED or is_live(draft.desired.pods.get(address.pod_uid)):
            continue
        subject = subjects.pod(address.pod_uid)
        asked = sum(subjects.is_kind(busy, subjects.POD) for busy in draft.busy)
        if asked < draft.options.in_flight // 2 and draft.may(subject):
            draft.start(
                ConfirmGone(
                    subject=subject,
                    pod_uid=address.pod_uid,
                    namespace=address.pod_namespace,
                    name=address.pod_name,
                )
            )


def _serve(draft: Draft, mode: PoolMode, names: frozenset[Ipv4]) -> list[PodWish]:
    """Give addresses to pods in the order in which they were scheduled; those left over."""
    has = {a.pod_uid for a in pool_of(draft).addresses.values() if a.state is AddressState.ASSIGNED}
    wishing = sorted(
        (
            p
            for p in draft.desired.pods.values()
            if p.addresses > 0 and not p.finished and not p.deleting and p.ip_annotation is None and p.uid not in has
        ),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    for position, pod in enumerate(wishing):
        address = pick_address(pool_of(draft), mode, names)
        if address is None:
            return wishing[position:]
        _put(draft, _owned(address, pod, draft.now, annotated=False))
    return []


def _annotate(draft: Draft, instance: InstanceFacts) -> None:
    bits = instance.subnet.cidr.rsplit("/", 1)[-1]
    for address in pool_of(draft).addresses.values():
        subject, pod = subjects.annotate(address.pod_uid), draft.desired.pods.get(address.pod_uid)
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


def _tell_waiting(draft: Draft, mode: PoolMode, waiting: list[PodWish]) -> None:
    why = why_none(draft, mode, next_rested_at(pool_of(draft)))
    for pod in waiting:
        if draft.first_time(subjects.pod(pod.uid), why.split(",")[0]):
            draft.tell_pod(pod, "ResourceAllocationFailed", f"{PRIVATE_IPV4}: {why}", Severity.WARNING)
