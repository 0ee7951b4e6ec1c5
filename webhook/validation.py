"""Who may write the annotations that pods are served by, and what the VPC CNI may change of a node."""

from collections.abc import Mapping
from typing import Any

from common.model.names import FARGATE_GROUPS, LABEL_ENI_CONFIG, LABEL_TRUNK, POD_ENI, PRIVATE_IPV4
from webhook.envelope import ALLOW, Verdict, deny

CONTROLLERS = frozenset(
    {
        "system:serviceaccount:kube-system:vpc-resource-controller",
        "system:serviceaccount:kube-system:eks-vpc-resource-controller",
        "eks:vpc-resource-controller",
    }
)
"""User names of the reference controller in its two forms."""
VPC_CNI = "system:serviceaccount:kube-system:aws-node"
CNI_REFUSAL = "aws-node can only update limited fields on the Node Object"
"""The reference's words: people and tests match them."""

_CNI_LABELS = (LABEL_TRUNK, LABEL_ENI_CONFIG)
_CHANGES_BY_ITSELF = ("managedFields", "resourceVersion")

Annotations = Mapping[str, str]


def validate_created(annotations: Annotations, *, windows_ipam: bool) -> Verdict:
    """Nobody makes a pod that carries what we would write, an empty value included: it would count as served."""
    for key in (POD_ENI, PRIVATE_IPV4) if windows_ipam else (POD_ENI,):
        if key in annotations:
            return deny(f"annotation {key} is set by the controller alone, not with the pod")
    return ALLOW


def validate_updated(
    old: Annotations, new: Annotations, *, username: str, own_account: str, windows_ipam: bool
) -> Verdict:
    """Added, changed or removed, empty values included."""
    if old.get(FARGATE_GROUPS) != new.get(FARGATE_GROUPS):
        return deny(f"annotation {FARGATE_GROUPS} is set when the pod is made and does not change")
    for key in (POD_ENI, PRIVATE_IPV4) if windows_ipam else (POD_ENI,):
        if old.get(key) != new.get(key) and username not in CONTROLLERS and username != own_account:
            return deny(f"annotation {key} is changed by the controller alone, not by {username!r}")
    return ALLOW


def validate_node(old: Mapping[str, Any], new: Mapping[str, Any]) -> Verdict:
    """An update by the VPC CNI's account, of the node or its status: its two labels, and nothing else."""
    if _without_what_may_change(old) != _without_what_may_change(new):
        return deny(CNI_REFUSAL)
    return ALLOW


def _without_what_may_change(node: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = node.get("metadata")
    if not isinstance(metadata, Mapping):
        return node
    kept = {key: value for key, value in metadata.items() if key not in _CHANGES_BY_ITSELF}
    # No labels, null and an empty object are the same: the API server leaves out what is empty.
    labels = kept.pop("labels", None)
    if isinstance(labels, Mapping):
        labels = {key: value for key, value in labels.items() if key not in _CNI_LABELS}
    return {**node, "metadata": kept, "labels of metadata": labels or {}}
