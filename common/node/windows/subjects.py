"""Subjects of calls about a pool: each has a backoff and a place in the rate limiter's queue of its own. Those that
assign are their modes'."""

from common.model.ledger import Pool
from common.node.state import NodeState

RELEASE = "pool/release"
LOOK = "pool/look"


def pool_of(state: NodeState) -> Pool:
    pool = state.ledger.pool
    assert pool is not None
    return pool
