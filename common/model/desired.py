"""What Kubernetes wants of one node, as the workers read it."""

import msgspec

from common.model.config import ClusterConfig
from common.model.ids import NodeName, PodUid
from common.model.ledger import Ledger
from common.model.node import NodeView
from common.model.pod import PodRequest


class Sharer(msgspec.Struct, frozen=True, kw_only=True):
    """Another node name of the same instance: its Node object names the instance, or its ledger is about it (its Node
    object is gone, and the ledger is not at its end)."""

    name: NodeName
    view: NodeView = NodeView()
    pods: dict[PodUid, PodRequest] = {}
    ledger: Ledger | None = None


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent read of a node's desired state."""

    view: NodeView = NodeView()
    pods: dict[PodUid, PodRequest] = {}
    config: ClusterConfig | None = None
    """None: the watcher has not written it yet."""
    complete: bool = False
    """A full list of nodes, CNINodes and pods was written since Redis was last empty. Until then absence means
    nothing, and nothing may be released."""
    epoch: str | None = ""
    """The run of Redis that this was read in; "" where it is not known; None: Redis was started since all of this was
    compared with the cluster, and it may be as old as the copy that Redis began with."""
    sharers: tuple[Sharer, ...] = ()
    """Other node names of the instances that were asked about, by name."""
