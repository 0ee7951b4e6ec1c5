"""Chapter: each pod's branch interfaces, from its wish to their deletion."""

from common.model.node import NodeFacts
from common.node.branch.advancing import advance
from common.node.branch.observing import observe_annotations, release_ended
from common.node.branch.serving import serve
from common.node.state import Planning


def keep_branches(state: Planning, node: NodeFacts, *, serving: bool) -> None:
    """`serving`: the node is managed and its trunk is ready; otherwise only what exists is seen to its end."""
    observe_annotations(state)
    release_ended(state)
    if serving:
        serve(state, node)
    advance(state, serving=serving)
