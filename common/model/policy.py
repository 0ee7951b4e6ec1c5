"""SecurityGroupPolicies and label selectors, as Kubernetes writes them."""

import msgspec

from common.model.ids import GroupId


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One of a label selector's matchExpressions."""

    key: str
    operator: str
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True):
    """An empty selector matches everything; an absent one (None where this stands) does not exist."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A SecurityGroupPolicy."""

    namespace: str
    name: str
    pod_selector: LabelSelector | None = None
    account_selector: LabelSelector | None = None
    groups: tuple[GroupId, ...] = ()
    changed_at: float = 0.0
    """Epoch seconds at which it was made or anybody last changed it, 0 where that is not known."""
