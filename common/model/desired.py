"""What Kubernetes wants of one node, as the workers read it."""

import msgspec

from common.model.config import ClusterConfig
from common.model.ids import PodUid
from common.model.node import NodeView
from common.model.pod import PodWish


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """One consistent read of a node's desired state."""

    view: NodeView = NodeView()
    pods: dict[PodUid, PodWish] = {}
    config: ClusterConfig | None = None
    """None: the watcher has not written it yet."""
    complete: bool = False
    """A full list of nodes, CNINodes and pods was written since Redis was last empty. Until then absence means
    nothing, and nothing may be released."""
