"""Things to tell people, as Kubernetes events."""

from enum import StrEnum

import msgspec

from common.model.ids import NodeName, PodUid


class Severity(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


class NodeNotice(msgspec.Struct, frozen=True, kw_only=True, tag="node"):
    """An event on a Node. Its involved object's uid is the node's *name*, as the kubelet's, so that
    `kubectl describe node` shows it; it lives in namespace `default`."""

    node: NodeName
    reason: str
    message: str
    severity: Severity = Severity.NORMAL


class PodNotice(msgspec.Struct, frozen=True, kw_only=True, tag="pod"):
    """An event on a Pod."""

    namespace: str
    name: str
    uid: PodUid
    reason: str
    message: str
    severity: Severity = Severity.NORMAL


class CniNodeNotice(msgspec.Struct, frozen=True, kw_only=True, tag="cninode"):
    """An event on a CNINode (cluster scoped: it lives in namespace `default`)."""

    name: NodeName
    uid: str
    reason: str
    message: str
    severity: Severity = Severity.NORMAL


class PolicyNotice(msgspec.Struct, frozen=True, kw_only=True, tag="policy"):
    """An event on a SecurityGroupPolicy."""

    namespace: str
    name: str
    uid: str
    reason: str
    message: str
    severity: Severity = Severity.NORMAL


Notice = NodeNotice | PodNotice | CniNodeNotice | PolicyNotice
