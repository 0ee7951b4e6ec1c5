"""Reads and writes of nodes and ENIConfigs."""

from collections.abc import Mapping

from common.kube.calls import Calls
from common.kube.paths import path_of
from common.kube.project import eni_config_facts, node_facts
from common.model.errors import Unsure
from common.model.ids import NodeName
from common.model.node import EniConfigFacts, NodeFacts

_NODES = "/api/v1/nodes"
_ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"


class NodeCalls(Calls):
    def get_node(self, name: NodeName) -> NodeFacts | None:
        """None only where the API server says that there is no such node. Raises OutsideError."""
        raw = self._read(_NODES, name)
        if raw is None:
            return None
        facts = node_facts(raw)
        if facts is None:
            raise Unsure("MalformedNode", name)
        return facts

    def advertise(self, node: NodeName, capacity: Mapping[str, str], *, uid: str | None = None) -> None:
        """Set extended resources in the node's `status.capacity` (the kubelet copies them to allocatable). Raises
        NotFound, Conflict where the node is another than `uid`, OutsideError."""
        body: dict[str, object] = {"status": {"capacity": dict(capacity)}}
        if uid is not None:
            body["metadata"] = {"uid": uid}
        self._patch(path_of(_NODES, node, "status"), node, body)

    def get_eni_config(self, name: str) -> EniConfigFacts | None:
        """None where there is none, or it has no subnet; `name` is somebody's claim, in a label or a CNINode. Raises
        NotFound where the CRD does not exist, OutsideError."""
        raw = self._read(_ENI_CONFIGS, name)
        return None if raw is None else eni_config_facts(raw)
