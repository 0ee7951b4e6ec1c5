"""How often each thing happened while a subject was in each state: what exploration has met, and what it has not."""

from collections import Counter
from collections.abc import Iterable

from common.model.ledger import AddressState, BranchState, TrunkState
from tests.simulation.cluster import Cluster

Met = Counter[tuple[str, str]]
"""By state and happening."""
STATES = (
    *(f"trunk {state}" for state in TrunkState),
    *(f"branch {state}" for state in BranchState),
    *(f"address {state}" for state in AddressState),
    "pool suspect",
    "pool assigning",
    "claim without annotation",
    "claim annotated",
    "node gone",
    "node of another's instance",
    "snapshot awaited",
    "line of EC2's limits",
    "message waiting",
)


def states(cluster: Cluster) -> set[str]:
    """Those in which any subject is now, by the records."""
    found: set[str] = set()
    for ledger in cluster.plain.ledgers.all().values():
        found.add(f"trunk {ledger.trunk.state}")
        found |= {f"branch {branch.state}" for branch in ledger.branches.values()}
        for claim in ledger.claims.values():
            found.add("claim annotated" if claim.annotated else "claim without annotation")
        if ledger.pool is not None:
            found |= {f"address {address.state}" for address in ledger.pool.addresses.values()}
            found |= {"pool suspect"} if ledger.pool.suspect else set()
            found |= {"pool assigning"} if ledger.pool.assigning else set()
        found |= {"node gone"} if ledger.gone_since is not None else set()
        found |= {"node of another's instance"} if ledger.yielded else set()
        found |= {"snapshot awaited"} if ledger.snapshot_after is not None else set()
        found |= {"line of EC2's limits"} if any(one.reserved for one in ledger.backoffs.values()) else set()
    return found | ({"message waiting"} if cluster.queue.tasks else set())


def table(met: Met, happenings: Iterable[str]) -> str:
    """Markdown: states down, happenings across; an empty cell was never met."""
    names = sorted(happenings)
    lines = ["| state | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for state in STATES:
        counts = (met[state, name] for name in names)
        lines.append(f"| {state} | " + " | ".join(str(count or "") for count in counts) + " |")
    return "\n".join(lines)
