"""Chapter: each pod's branch interfaces, from its wish to their deletion."""

from common.decide.branches.advancing import advance
from common.decide.branches.observing import observe_annotations, release_ended
from common.decide.branches.serving import serve
from common.decide.draft import Draft
from common.model.node import NodeFacts


def keep_branches(draft: Draft, node: NodeFacts, *, serving: bool) -> None:
    """`serving`: the node is managed and its trunk is ready; otherwise only what exists is seen to its end."""
    observe_annotations(draft)
    release_ended(draft)
    if serving:
        serve(draft, node)
    advance(draft, serving=serving)
