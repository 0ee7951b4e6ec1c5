"""Everything that we ask of the API server, watches and events apart."""

from common.kube.cninodes import CniNodeCalls
from common.kube.decode import PodFacts
from common.kube.nodes import NodeCalls
from common.kube.pods import PodCalls

__all__ = ["Kube", "PodFacts"]


class Kube(PodCalls, NodeCalls, CniNodeCalls):
    """One method a call; each blocks until it is answered, and is thread-safe as its transport is. Raises NotFound,
    Conflict, Denied, Invalid, Throttled or Unsure of common.model.errors."""
