"""What a demo is to do, and how it can fail."""

from dataclasses import dataclass
from pathlib import Path

from common.model.limits import load_limits

NAMESPACE = "demo"
DEPLOYMENTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    nodes: int
    pods: int
    rest: int
    """Pods that stay when the others go."""
    instance_type: str
    workers: int
    cooldown: int
    """Seconds, the ConfigMap's `branch-eni-cooldown`; values under 30 count as 30."""
    ec2_factor: float
    """EC2's default request limits, times this."""
    folder: Path


class DemoFailed(Exception):
    """Something is not as it should be. `logs` are the last lines of whoever is to blame."""

    def __init__(self, message: str, logs: list[str] | None = None) -> None:
        super().__init__(message)
        self.logs = logs or []


def room_problem(plan: Plan) -> str | None:
    """Why the pods would not fit, if they do not."""
    limits = load_limits().get(plan.instance_type)
    if limits is None or not limits.max_branch_interfaces:
        return f"{plan.instance_type} is no instance type with branch interfaces"
    room = plan.nodes * limits.max_branch_interfaces
    if room < plan.pods:
        return (
            f"{plan.pods} pods do not fit: {plan.nodes} nodes of {plan.instance_type} have {room} branch interfaces"
            f" ({limits.max_branch_interfaces} each)"
        )
    return None
