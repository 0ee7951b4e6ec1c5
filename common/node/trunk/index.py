"""The device index that a new trunk gets, and the wait where none is free."""

from common.model.ec2 import Instance
from common.model.ledger import Backoff
from common.model.limits import InstanceLimits
from common.model.notice import EventReason, Severity
from common.node.state import Planning

INDEX = "index"
INDEX_SECONDS, LONGEST_INDEX_SECONDS, SOON_LOOKS = 6.0, 24.0, 100
"""A device index gets free when somebody detaches an interface, which only a look at EC2 shows. After so many looks the
intervals grow, so that a node that never gets one costs little."""


def free_device_index(instance: Instance, limits: InstanceLimits | None) -> int | None:
    """The highest free device index of the default network card: the VPC CNI takes them from below."""
    if limits is None:
        return None
    used = {i.device_index for i in instance.interfaces if i.network_card == 0}
    return next((index for index in range(limits.trunk_device_index, 0, -1) if index not in used), None)


def no_index(state: Planning) -> None:
    if state.first_time(INDEX, "none"):
        state.emit_node(EventReason.NODE_TRUNK_FAILED_INIT, "The node failed initializing trunk interface")
        state.emit_node(
            EventReason.NO_FREE_DEVICE_INDEX,
            "The instance has no free device index for a trunk interface: detach an interface, or lower the number "
            "that the VPC CNI attaches (MAX_ENI, WARM_ENI_TARGET)",
            Severity.WARNING,
        )
    looks = state.backoff(INDEX).attempts
    wait = min(LONGEST_INDEX_SECONDS, INDEX_SECONDS * max(1.0, looks / SOON_LOOKS))
    state.change(snapshot_after=state.now + wait)
    state.set_backoff(INDEX, Backoff(attempts=looks + 1, code="NoIndex"))
    state.look_at(state.now + wait)


def index_found(state: Planning) -> None:
    if INDEX in state.ledger.backoffs:
        state.set_backoff(INDEX, None)
        state.forget_emitted(INDEX)
