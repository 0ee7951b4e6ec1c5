"""What the ConfigMap `kube-system/amazon-vpc-cni` says, read and made valid."""

import msgspec

DEFAULT_COOLDOWN_SECONDS = 60.0
MINIMUM_COOLDOWN_SECONDS = 30.0


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the whole cluster that change while running. None: not set."""

    cooldown: float = DEFAULT_COOLDOWN_SECONDS
    """Seconds between a pod's end and the release of its branch interface."""
    windows_ipam: bool = False
    """Windows nodes are managed (the ConfigMap says so and the legacy controller is not there)."""
    prefix_delegation: bool = False
    """Windows nodes take prefixes (the ConfigMap and our own setting say so)."""
    branch_warm_target: int = 0
    """Branch interfaces kept idle on each trunk; 0: each is deleted after its pod."""
    warm_ip: int | None = None
    minimum_ip: int | None = None
    warm_prefix: int | None = None
