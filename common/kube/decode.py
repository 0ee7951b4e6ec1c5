"""Raw Kubernetes objects as our own values. Pure, but for a report of what was malformed; nothing here raises.

A value that cannot be read counts as not set: a pod that is not plainly finished is live, a feature that cannot be
read is not there. A policy is the exception: a selector read in part would match more pods than meant, so that a
malformed policy is no policy.
"""

import re
from datetime import UTC, datetime

import msgspec

from common.kube import raw as k
from common.kube.nesting import decode_json
from common.kube.tolerant import Raw, Report, decode, log_problem
from common.model.ids import GroupId, NodeName, PodUid, SubnetId, instance_id_of, zone_of
from common.model.names import (
    CNINODE_FINALIZER,
    COMPUTE_TYPE_AUTO,
    LABEL_OS,
    POD_ENI,
    PRIVATE_IPV4,
)
from common.model.node import CniNodeFacts, CniNodeSpec, EniConfigFacts, Feature, NodeFacts
from common.model.pod import BarePod, PodRequest
from common.model.policy import LabelSelector, Policy, Requirement

_WHOLE_NUMBER = re.compile(r"\+?[0-9]{1,9}", re.ASCII)
_FINISHED = frozenset({"Succeeded", "Failed"})


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as it stands, whether or not it asks for anything of ours."""

    uid: PodUid
    resource_version: str
    node_name: NodeName | None = None
    """None: not bound."""
    finished: bool = False
    deleting: bool = False
    eni_annotation: str | None = None
    ip_annotation: str | None = None


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which object an object is."""

    namespace: str
    name: str
    uid: str
    resource_version: str


def identity(raw: Raw, report: Report = log_problem) -> Identity | None:
    """None where the object has no name."""
    found = raw if isinstance(raw, msgspec.Struct) else decode(raw, k.AnyObject, report)
    known = identity_of(found) if found is not None else None
    return known if known is not None and known.name else None


def identity_of(found: msgspec.Struct) -> Identity:
    """The identity in a struct of common.kube.raw; name "" where it has none."""
    name = getattr(found, "metadata", None)
    if not isinstance(name, k.Name):
        name = k.Name()
    return Identity(namespace=name.namespace, name=name.name, uid=name.uid, resource_version=name.resource_version)


def node_facts(raw: Raw, report: Report = log_problem) -> NodeFacts | None:
    """None where the object has no name."""
    node = decode(raw, k.Node, report)
    if node is None or not node.metadata.name:
        return None
    labels = node.metadata.labels or k.NodeLabels()
    capacity = (node.status and node.status.capacity) or k.Quantities()
    amounts = {POD_ENI: capacity.eni, PRIVATE_IPV4: capacity.ip}
    provider_id = (node.spec and node.spec.provider_id) or ""
    return NodeFacts(
        name=NodeName(node.metadata.name),
        uid=node.metadata.uid,
        os=labels.os or labels.os_beta or "",
        os_label=labels.os or "",
        instance_id=instance_id_of(provider_id),
        zone=zone_of(provider_id),
        trunk_label=labels.trunk is not None,
        eni_config_label=labels.eni_config,
        warm_target_label=labels.warm_target,
        auto=labels.compute_type == COMPUTE_TYPE_AUTO,
        capacity={name: str(amount) for name, amount in amounts.items() if amount is not None},
        created_at=_epoch(node.metadata.creation_timestamp),
    )


def pod_facts(raw: Raw, report: Report = log_problem) -> PodFacts | None:
    """None where the object has no uid."""
    pod = decode(raw, k.Pod, report)
    if pod is None or not pod.metadata.uid:
        return None
    annotations = pod.metadata.annotations or k.PodAnnotations()
    node = pod.spec.node_name if pod.spec else None
    return PodFacts(
        uid=PodUid(pod.metadata.uid),
        resource_version=pod.metadata.resource_version,
        node_name=NodeName(node) if node else None,
        finished=_finished(pod),
        deleting=pod.metadata.deletion_timestamp is not None,
        eni_annotation=annotations.eni,
        ip_annotation=annotations.ip,
    )


def bound_pod(raw: Raw, seen_at: float, report: Report = log_problem) -> tuple[NodeName, PodRequest | BarePod] | None:
    """A pod and the node that it is bound to. None: not bound, or of no concern to us. `seen_at`: epoch seconds."""
    pod = decode(raw, k.Pod, report)
    if pod is None or not pod.metadata.uid or pod.spec is None or not pod.spec.node_name:
        return None
    annotations = pod.metadata.annotations or k.PodAnnotations()
    branches, addresses = _asked_for(pod.spec, report)
    node = NodeName(pod.spec.node_name)
    if not branches and not addresses and annotations.eni is None and annotations.ip is None:
        bare = _bare(pod, pod.spec)
        return None if bare is None else (node, bare)
    return node, PodRequest(
        uid=PodUid(pod.metadata.uid),
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        branches=branches,
        addresses=addresses,
        labels=pod.metadata.labels or {},
        service_account=pod.spec.service_account_name or "default",
        eni_annotation=annotations.eni,
        ip_annotation=annotations.ip,
        pod_ip=(addresses > 0 and pod.status and pod.status.pod_ip) or "",
        finished=_finished(pod),
        deleting=pod.metadata.deletion_timestamp is not None,
        scheduled_at=_scheduled_at(pod),
        seen_at=seen_at,
    )


def bound_request(raw: Raw, seen_at: float, report: Report = log_problem) -> tuple[NodeName, PodRequest] | None:
    """As `bound_pod`; None, too, for a pod that neither asks for anything of ours nor carries one of our
    annotations."""
    found = bound_pod(raw, seen_at, report)
    if found is None:
        return None
    node, pod = found
    return (node, pod) if isinstance(pod, PodRequest) else None


def pod_request(raw: Raw, seen_at: float, report: Report = log_problem) -> PodRequest | None:
    """As `bound_request`, without the node's name."""
    found = bound_request(raw, seen_at, report)
    return found[1] if found else None


def cninode_facts(raw: Raw, report: Report = log_problem) -> CniNodeFacts | None:
    """None where the object has no uid."""
    cninode = decode(raw, k.CniNode, report)
    if cninode is None or not cninode.metadata.uid:
        return None
    metadata, spec = cninode.metadata, cninode.spec or k.CniNodeSpecFields()
    owners = metadata.owner_references or ()
    return CniNodeFacts(
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        spec=CniNodeSpec(
            features=tuple(Feature(name=f.name, value=f.value or "") for f in spec.features or () if f.name),
            tags=spec.tags or {},
            managed_by=spec.managed_by or "",
        ),
        os_label=(metadata.labels or {}).get(LABEL_OS),
        finalizer=CNINODE_FINALIZER in (metadata.finalizers or ()),
        owner_uid=next((o.uid for o in owners if o.kind == "Node" and o.name == metadata.name), None),
        deleting=metadata.deletion_timestamp is not None,
    )


def eni_config_facts(raw: Raw, report: Report = log_problem) -> EniConfigFacts | None:
    """None where the object has no name or no subnet: nothing can be made in it."""
    config = decode(raw, k.EniConfig, report)
    if config is None or not config.metadata.name:
        return None
    spec = config.spec or k.EniConfigSpec()
    if not spec.subnet:
        report(f"ENIConfig {config.metadata.name} has no subnet")
        return None
    groups = tuple(GroupId(group) for group in spec.security_groups or () if group)
    return EniConfigFacts(name=config.metadata.name, subnet=SubnetId(spec.subnet), groups=groups)


def config_map_data(raw: Raw, report: Report = log_problem) -> dict[str, str]:
    found = decode(raw, k.ConfigMap, report)
    return (found.data if found else None) or {}


def policy(raw: Raw, report: Report = log_problem) -> Policy | None:
    """None where any part of it is malformed."""
    try:
        if isinstance(raw, bytes | msgspec.Raw):
            found = decode_json(raw, k.SecurityGroupPolicy)
        else:
            found = msgspec.convert(raw, k.SecurityGroupPolicy)
    except (msgspec.DecodeError, ValueError) as error:
        known = identity(raw, lambda _: None)
        report(f"SecurityGroupPolicy {known.namespace}/{known.name}: {error}" if known else str(error))
        return None
    spec = found.spec or k.PolicySpec()
    groups = (spec.security_groups and spec.security_groups.group_ids) or ()
    return Policy(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        pod_selector=_selector(spec.pod_selector),
        account_selector=_selector(spec.service_account_selector),
        groups=tuple(GroupId(group) for group in groups if group),
        changed_at=max(
            _epoch(found.metadata.creation_timestamp),
            *(_epoch(entry.time) for entry in found.metadata.managed_fields or ()),
            0.0,
        ),
    )


def labels_of(raw: Raw, report: Report = log_problem) -> dict[str, str]:
    """Any object's labels."""
    found = decode(raw, k.Labelled, report)
    return (found and found.metadata.labels) or {}


def _bare(pod: k.Pod, spec: k.PodSpec) -> BarePod | None:
    labels = pod.metadata.labels or {}
    ends = _finished(pod) or pod.metadata.deletion_timestamp is not None
    if spec.host_network or ends:
        return None
    return BarePod(
        uid=PodUid(pod.metadata.uid),
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        labels=labels,
        service_account=spec.service_account_name or "default",
        created_at=_epoch(pod.metadata.creation_timestamp),
    )


def _selector(found: k.Selector | None) -> LabelSelector | None:
    if found is None:
        return None
    return LabelSelector(
        match_labels=found.match_labels or {},
        match_expressions=tuple(
            Requirement(key=e.key, operator=e.operator, values=e.values or ()) for e in found.match_expressions or ()
        ),
    )


def _finished(pod: k.Pod) -> bool:
    return pod.status is not None and pod.status.phase in _FINISHED


def _asked_for(spec: k.PodSpec, report: Report) -> tuple[int, int]:
    """Sums over the containers. Requests count, limits where there are none (the API server makes them equal)."""
    branches = addresses = 0
    for container in spec.containers or ():
        resources = container.resources
        if resources is None:
            continue
        requests, limits = resources.requests or k.Quantities(), resources.limits or k.Quantities()
        branches += _amount(limits.eni if requests.eni is None else requests.eni, report)
        addresses += _amount(limits.ip if requests.ip is None else requests.ip, report)
    return branches, addresses


def _amount(quantity: str | int | None, report: Report) -> int:
    """Extended resources are whole numbers; one with a suffix (1k) is more than any node has and never placed."""
    if quantity is None:
        return 0
    if _WHOLE_NUMBER.fullmatch(text := str(quantity)):
        return int(text)
    report(f"quantity {text!r} is no whole number")
    return 0


def _scheduled_at(pod: k.Pod) -> float:
    for condition in (pod.status and pod.status.conditions) or ():
        if condition.type == "PodScheduled" and condition.status == "True" and condition.last_transition_time:
            return _epoch(condition.last_transition_time) or _epoch(pod.metadata.creation_timestamp)
    return _epoch(pod.metadata.creation_timestamp)


def _epoch(text: str | None) -> float:
    """Epoch seconds of an RFC 3339 time; 0.0 where there is none."""
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
