"""SecurityGroupPolicies and ENIConfigs: valid, of use, and naming what exists."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cli.doctor.finding import Finding, State
from cli.doctor.reads import Invoke, described, listed, name_of
from common.kube.decode import policy as read_policy
from common.kube.transport import Transport
from common.model.policy import Policy
from common.rules.security_groups import PolicySet

AREA = "Policies"
POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/securitygrouppolicies"
ENI_CONFIGS = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs"
ACCOUNTS = "/api/v1/serviceaccounts"
PODS = "/api/v1/pods"


def policies(transport: Transport) -> tuple[list[Policy], list[Finding]]:
    """Those that can be read, and what is wrong with the others. Raises OutsideError."""
    good: list[Policy] = []
    findings: list[Finding] = []
    for item in listed(transport, POLICIES):
        said: list[str] = []
        found = read_policy(item, said.append)
        if found is None:
            findings.append(_invalid(name_of(item), said[0] if said else "it cannot be read"))
        else:
            good.append(found)
    for namespace, some in _by_namespace(good).items():
        for name, reason in PolicySet(some).skipped:
            findings.append(_invalid(f"{namespace}/{name}", reason))
    return good, findings


def _invalid(name: str, reason: str) -> Finding:
    return Finding(
        area=AREA,
        what=f"policy {name} is skipped: {reason}",
        state=State.WRONG,
        where=f"SecurityGroupPolicy {name}",
        advice="Correct it: its pods get the groups of other policies, or their node's",
    )


def check_selections(transport: Transport, found: list[Policy]) -> Iterator[Finding]:
    """Which valid policies match no pod there is. Raises OutsideError."""
    if not found:
        return
    accounts = {name_of(item): _labels(item) for item in listed(transport, ACCOUNTS)}
    sets = {namespace: PolicySet(some) for namespace, some in _by_namespace(found).items()}
    idle = {(namespace, name) for namespace, some in sets.items() for name in some.changed_at}
    for pod in listed(transport, PODS):
        namespace = pod["metadata"].get("namespace", "")
        if namespace in sets:
            account = (pod.get("spec") or {}).get("serviceAccountName") or "default"
            match = sets[namespace].match(_labels(pod), accounts.get(f"{namespace}/{account}"))
            idle -= {(namespace, name) for name in match.matched}
    for namespace, name in sorted(idle):
        yield Finding(
            area=AREA,
            what=f"policy {namespace}/{name} selects no pod",
            state=State.WRONG,
            where=f"SecurityGroupPolicy {namespace}/{name}",
            advice="Compare its selectors with the labels of pods and service accounts; delete it if it is not used",
        )
    if useful := sum(len(one.changed_at) for one in sets.values()) - len(idle):
        yield Finding(area=AREA, what=f"policies that select pods: {useful}")


def check_groups(invoke: Invoke, vpc: str, wanted: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """`wanted`: group ids by the object that names them. Raises OutsideError."""
    named: dict[str, list[str]] = defaultdict(list)
    for where, groups in wanted.items():
        for group in groups:
            named[group].append(where)
    there = {
        str(one["GroupId"]): str(one.get("VpcId", ""))
        for one in described(invoke, "DescribeSecurityGroups", "SecurityGroups", "group-id", named)
    }
    bad = False
    for group, places in sorted(named.items()):
        where, problem = ", ".join(places), ""
        if group not in there:
            problem = f"security group {group} does not exist"
        elif vpc and there[group] and there[group] != vpc:
            problem = f"security group {group} is of {there[group]}, not of {vpc}"
        if problem:
            bad = True
            yield Finding(
                area=AREA, what=problem, state=State.WRONG, where=where, advice="EC2 refuses its pods: correct the id"
            )
    if named and not bad:
        yield Finding(area=AREA, what=f"security groups: {len(named)}")


def check_eni_configs(
    transport: Transport, invoke: Invoke | None, wanted: Mapping[str, str]
) -> tuple[list[Finding], dict[str, list[str]]]:
    """ENIConfigs without a subnet that exists, and those that nodes name and that do not (`wanted`: name by node), and
    the groups that they name. Raises OutsideError."""
    items = {name_of(item): item.get("spec") or {} for item in listed(transport, ENI_CONFIGS)}
    findings: list[Finding] = []
    for node, name in sorted(wanted.items()):
        if name not in items:
            what = f"ENIConfig {name or '(without a name)'} does not exist"
            advice = "Create it, or correct the label vpc.amazonaws.com/eniConfig or the CNINode's feature"
            findings.append(Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where=f"Node {node}"))
    subnets = {name: str(spec.get("subnet", "")) for name, spec in items.items()}
    if invoke is not None and subnets:
        found = described(invoke, "DescribeSubnets", "Subnets", "subnet-id", filter(None, subnets.values()))
        there = {str(one["SubnetId"]) for one in found}
        for name, subnet in sorted(subnets.items()):
            if subnet not in there:
                what, advice = f"subnet {subnet or '(none)'} does not exist", "Correct it: its nodes get no trunk"
                where = f"ENIConfig {name}"
                findings.append(Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where=where))
    return findings, {f"ENIConfig {name}": list(spec.get("securityGroups") or ()) for name, spec in items.items()}


def _by_namespace(found: Iterable[Policy]) -> dict[str, list[Policy]]:
    grouped: dict[str, list[Policy]] = defaultdict(list)
    for policy in found:
        grouped[policy.namespace].append(policy)
    return grouped


def _labels(item: Any) -> dict[str, str]:
    return dict((item.get("metadata") or {}).get("labels") or {})
