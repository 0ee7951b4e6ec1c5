"""Reads and writes of nodes and ENIConfigs."""

from collections.abc import Mapping

from common.kube.calls import Calls
from common.kube.decode import eni_config_facts, node_facts
from common.kube.paths import ENI_CONFIGS, NODES, path_of
from common.model.errors import Unsure
from common.model.ids import NodeName
from common.model.node import EniConfigFacts, NodeFacts


class NodeCalls(Calls):
    def get_node(self, name: NodeName) -> NodeFacts | None:
        """None only where the API server says that there is no such node. Raises OutsideError."""
        raw = self._read(NODES, name)
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
        self._patch(path_of(NODES, node, "status"), node, body)

    def get_eni_config(self, name: str) -> EniConfigFacts | None:
        """None where there is none, or it has no subnet; `name` is somebody's claim, in a label or a CNINode. Raises
        NotFound where the CRD does not exist, OutsideError."""
        raw = self._read(ENI_CONFIGS, name)
        return None if raw is None else eni_config_facts(raw)
