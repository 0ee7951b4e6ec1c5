"""What an action is planned for, and so whether its outcome still concerns the ledger when it comes.

One rule for trunks, branches and address pools: the same question is asked of the ledger when the action starts and
when it has ended, and two answers mean that the ledger has moved on. The outcome is dropped then. Nothing leaks by it:
what such an action made carries our tags, so that adoption, audit or sweep find it.
"""

from common.model import actions as act
from common.model.ledger import Ledger


def made_for(ledger: Ledger, action: act.Action) -> act.MadeFor | None:
    """The part of the ledger that the action is about. None: it is about a pod or an object of Kubernetes."""
    if isinstance(action, act.BranchAction):
        branch = ledger.branches.get(action.key)
        if branch is None:
            return act.MadeFor(instance_id=None)
        return act.MadeFor(instance_id=branch.instance_id, eni_id=branch.eni_id or branch.trunk_id, vlan=branch.vlan)
    instance_id = ledger.instance.instance_id if ledger.instance is not None else None
    generation = ledger.trunk.generation
    if isinstance(action, act.TrunkAction):
        return act.MadeFor(instance_id=instance_id, generation=generation, eni_id=ledger.trunk.eni_id)
    if isinstance(action, act.PoolAction):
        primary = ledger.instance.primary_eni if ledger.instance is not None else None
        return act.MadeFor(instance_id=instance_id, generation=generation, eni_id=primary)
    if isinstance(action, act.ResolvePod | act.RequestSnapshot | act.Review | act.FindAssociations):
        return act.MadeFor(instance_id=instance_id, generation=generation)
    return None


def moved_on(ledger: Ledger, action: act.Action) -> bool:
    """Whether the ledger has moved on since the action was planned."""
    return action.made_for is not None and action.made_for != made_for(ledger, action)
