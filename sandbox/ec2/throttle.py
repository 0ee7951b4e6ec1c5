"""EC2's request limits: a token bucket per action (EC2 developer guide, "Request throttling for the EC2 API")."""

from __future__ import annotations

from typing import Any

from sandbox.ec2.behaviour import Bucket, Ec2Behaviour


def action_class(action: str, params: dict[str, Any]) -> str:
    """`describe`, `describe-unfiltered` (neither ids, filters nor pages), or `mutate`."""
    if not action.startswith("Describe"):
        return "mutate"
    narrowed = any(value for name, value in params.items() if name != "DryRun")
    return "describe" if narrowed else "describe-unfiltered"


class Throttle:
    """The buckets of one account and region. A refused call takes no token."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}

    def admits(self, action: str, params: dict[str, Any], behaviour: Ec2Behaviour, now: float) -> bool:
        """Whether the call may pass at `now`; takes its token."""
        if not behaviour.throttling:
            return True
        kind = action_class(action, params)
        bucket: Bucket | None = behaviour.buckets.get(action) or behaviour.buckets.get(kind)
        if bucket is None:
            return True
        key = f"{action}/{kind}"
        level, since = self._levels.get(key, (bucket.size, now))
        level = min(bucket.size, level + (now - since) * bucket.refill)
        admitted = level >= 1
        self._levels[key] = (level - 1 if admitted else level, now)
        return admitted
