"""What is changed of a new pod."""

from common.model.names import FARGATE_GROUPS, POD_ENI, PRIVATE_IPV4
from common.rules.security_groups import GroupMatch
from webhook.envelope import ALLOW, Verdict, deny
from webhook.facts import Account, NoSuchAccount, NoSuchKind, Policies, Unreadable
from webhook.objects import Pod, PodClass
from webhook.patches import Patch, annotate, ask_for_one, drop_annotation
from webhook.warnings import too_many, warnings_of


def mutate_windows(pod: Pod, windows_ipam: bool | Unreadable) -> Verdict:
    """One address, unless the pod asks itself. Policies do not matter: Windows nodes have no branch interfaces."""
    if isinstance(windows_ipam, Unreadable):
        return deny(f"whether Windows nodes are managed cannot be read: {windows_ipam.why}")
    if not windows_ipam:
        return ALLOW
    return Verdict(allowed=True, patch=ask_for_one(pod.spec.containers or (), PRIVATE_IPV4))


def mutate_by_policies(pod: Pod, pod_class: PodClass, namespace: str, policies: Policies, account: Account) -> Verdict:
    """Fargate: the groups themselves. Others: one branch interface, unless the pod asks itself."""
    if isinstance(policies, NoSuchKind):
        return ALLOW
    name = pod.spec.service_account_name or ""
    if isinstance(policies, Unreadable):
        return deny(f"SecurityGroupPolicies cannot be read: {policies.why}")
    if isinstance(account, Unreadable):
        return deny(f"service account {name!r} cannot be read: {account.why}")
    if isinstance(account, NoSuchAccount):
        return deny(f"service account {name!r} does not exist in namespace {namespace!r}")
    match = policies.match(pod.metadata.labels or {}, account)
    if (problem := too_many(match)) is not None:
        return deny(problem)
    patch = _groups_of_fargate(pod, match) if pod_class is PodClass.FARGATE else _branch(pod, match)
    return Verdict(allowed=True, patch=patch, warnings=warnings_of(match))


def _groups_of_fargate(pod: Pod, match: GroupMatch) -> Patch:
    if not match.groups:
        return drop_annotation(pod.metadata, FARGATE_GROUPS)
    return annotate(pod.metadata, FARGATE_GROUPS, ",".join(match.groups))


def _branch(pod: Pod, match: GroupMatch) -> Patch:
    return ask_for_one(pod.spec.containers or (), POD_ENI) if match.groups else ()
