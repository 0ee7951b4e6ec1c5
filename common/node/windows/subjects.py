"""The subjects of the calls about a pool: each has a backoff and a place in the rate limiter's queue of its own."""

from common.model.ledger import Pool
from common.node.state import NodeState
from common.node.windows.pool import PoolMode

ASK = {PoolMode.SECONDARY: "pool", PoolMode.PREFIX: "pool/prefixes"}
RELEASE = "pool/release"
LOOK = "pool/look"


def pool_of(state: NodeState) -> Pool:
    pool = state.ledger.pool
    assert pool is not None
    return pool
