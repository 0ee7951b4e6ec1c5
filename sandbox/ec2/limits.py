"""Limits of instance types: the product's own data, as EC2 applies them."""

from common.model.limits import InstanceLimits, load_limits

__all__ = ["InstanceLimits", "interfaces_of_card", "load_limits"]


def interfaces_of_card(limits: InstanceLimits, card: int) -> int:
    """How many interfaces network card number `card` takes; 0 for a card that the type does not have."""
    if card == 0:
        return min(limits.max_interfaces, limits.default_card_interfaces)
    if 0 < card < limits.network_cards:
        return (limits.max_interfaces - limits.default_card_interfaces) // (limits.network_cards - 1)
    return 0
