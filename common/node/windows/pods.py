"""Chapter: a Windows node's pool of addresses, and the pods that take from it."""

from common.model.config import ClusterConfig
from common.model.ids import Ipv4
from common.model.ledger import AddressState, InstanceFacts, Pool
from common.model.limits import InstanceLimits
from common.model.names import PRIVATE_IPV4
from common.model.node import NodeFacts
from common.model.notice import EventReason, Severity
from common.model.pod import PodRequest
from common.node.branch.reviewing import review
from common.node.capacity import advertise
from common.node.state import NEVER, Planning
from common.node.windows.assigning import ask, why_none
from common.node.windows.contents import known_in, reserved, without_what_left
from common.node.windows.looking import look
from common.node.windows.mode import Mode, capacity, mode_for, unsupported
from common.node.windows.owning import annotate, observe_annotations, owned, put, release_ended
from common.node.windows.pool import next_rested_at, next_to_ask_at, rested, slots_of
from common.node.windows.releasing import give_back
from common.node.windows.subjects import pool_of
from common.rules import subjects

COMPARED_SECONDS = 1.0
"""Between looks whether what was read is compared with the cluster after a restart of Redis: the watcher takes a second
or two."""


def keep_windows(state: Planning, node: NodeFacts) -> None:
    instance, config = state.ledger.instance, state.desired.config
    assert instance is not None
    assert config is not None
    limits = windows_limits(state, instance)
    if limits is None:
        state.emit_node_once(
            "unsupported",
            EventReason.UNSUPPORTED,
            f"The instance type {instance.instance_type} is not supported yet by the vpc resource controller",
            Severity.WARNING,
        )
        return
    mode = _mode(state, instance, limits, config)
    advertise(state, node, PRIVATE_IPV4, capacity(limits.ipv4_per_interface, mode))
    epoch = state.desired.epoch
    if epoch is None:
        # Who has which address is not known: none is given to a pod or to EC2.
        state.look_at(state.now + COMPARED_SECONDS)
        return
    state.set_pool(rested(without_what_left(known_in(state.ledger.pool or Pool(), epoch, state.now)), state.now))
    observe_annotations(state)
    _ask_about_found(state)
    pool = pool_of(state)
    names = frozenset(reserved(state.desired.pods, pool.addresses.keys(), pool.prefixes))
    waiting = _serve(state, mode, names)
    eni_id, slots = instance.primary_eni, slots_of(limits.ipv4_per_interface)
    look(state, eni_id)
    if waiting:
        ask(state, instance, mode, slots, waiting, names)
    annotate(state, instance)
    # Pods with an address get their annotations first; the pool is filled up, or emptied, after that.
    if waiting or not any(subjects.is_kind(subject, subjects.ANNOTATE) for subject in state.busy):
        if not waiting:
            ask(state, instance, mode, slots, waiting, names)
        give_back(state, eni_id, mode, slots, len(waiting), names)
    release_ended(state)
    if waiting:
        _emit_waiting(state, mode, waiting)
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


def _mode(state: Planning, instance: InstanceFacts, limits: InstanceLimits, config: ClusterConfig) -> Mode:
    why_other = unsupported(config, instance.instance_type, nitro=limits.nitro)
    if why_other:
        state.emit_node_once("unsupported", EventReason.UNSUPPORTED, why_other, Severity.WARNING)
    else:
        state.forget_emitted("unsupported")
    return mode_for(config, nitro=limits.nitro)


def _serve(state: Planning, mode: Mode, names: frozenset[Ipv4]) -> list[PodRequest]:
    """Give addresses to pods in the order in which they were scheduled; those left over."""
    has = {a.pod_uid for a in pool_of(state).addresses.values() if a.state is AddressState.ASSIGNED}
    unserved = sorted(
        (
            p
            for p in state.desired.pods.values()
            if p.addresses > 0 and not p.finished and not p.deleting and p.ip_annotation is None and p.uid not in has
        ),
        key=lambda pod: (pod.scheduled_at, pod.uid),
    )
    for position, pod in enumerate(unserved):
        address = mode.pick(pool_of(state), names)
        if address is None:
            return unserved[position:]
        put(state, owned(address, pod, state.now, annotated=False))
    return []


def _emit_waiting(state: Planning, mode: Mode, waiting: list[PodRequest]) -> None:
    why = why_none(state, mode, next_rested_at(pool_of(state)))
    for pod in waiting:
        if state.first_time(subjects.pod(pod.uid), why.split(",")[0]):
            state.emit_pod(pod, EventReason.RESOURCE_ALLOCATION_FAILED, f"{PRIVATE_IPV4}: {why}", Severity.WARNING)
