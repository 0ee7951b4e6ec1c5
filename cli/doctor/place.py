"""The place: VPC and cluster name as EC2 and the nodes know them, and what the nodes' instance types can do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cli.doctor.finding import Finding, State
from cli.doctor.reads import Invoke, described, listed
from common.kube.decode import cninode_facts, node_facts
from common.kube.transport import Transport
from common.model.config import ClusterConfig
from common.model.limits import InstanceLimits
from common.model.names import cluster_tag
from common.model.node import CniNodeSpec, NodeFacts
from common.rules.managed import Management, management
from common.settings import Settings

AREA = "Cluster"
NODES = "/api/v1/nodes"
CNINODES = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes"
TYPE_LABEL = "node.kubernetes.io/instance-type"
ANY_CLUSTER = cluster_tag("")
NODES_LOOKED_AT = 1000


class Node(NamedTuple):
    facts: NodeFacts
    standing: Management
    instance_type: str
    """As its label says, "" without one."""
    spec: CniNodeSpec | None
    """Its CNINode's."""


def nodes(transport: Transport, config: ClusterConfig) -> list[Node]:
    """Raises OutsideError."""
    cninodes = {item["metadata"]["name"]: cninode_facts(item) for item in listed(transport, CNINODES)}
    found: list[Node] = []
    for item in listed(transport, NODES):
        facts = node_facts(item)
        if facts is None:
            continue
        cninode = cninodes.get(facts.name)
        spec = cninode.spec if cninode else None
        label = str((item["metadata"].get("labels") or {}).get(TYPE_LABEL, ""))
        found.append(Node(facts, management(facts, spec, config), label, spec))
    return found


def check_types(found: list[Node], limits: Mapping[str, InstanceLimits], prefixes: bool) -> Iterator[Finding]:
    """Instance types of the nodes that we serve. `prefixes`: Windows nodes take them."""
    served = [one for one in found if one.standing in (Management.LINUX, Management.WINDOWS)]
    if not served:
        advice = "No node has the CNINode feature SecurityGroupsForPods: ENABLE_POD_ENI=true on aws-node; for Windows"
        advice += " enable-windows-ipam in the ConfigMap amazon-vpc-cni"
        yield Finding(area=AREA, what="no node is ours to serve", state=State.UNKNOWN, advice=advice, where="nodes")
        return
    bad = False
    for (name, kind), count in sorted(
        Counter((one.instance_type, one.standing) for one in served if one.instance_type).items()
    ):
        where = f"{count} {kind} nodes"
        problem, advice = _problem(name, kind, limits.get(name), prefixes)
        if problem:
            bad = True
            yield Finding(area=AREA, what=problem, state=State.WRONG, advice=advice, where=where)
    if not bad:
        yield Finding(area=AREA, what=f"instance types of {len(served)} nodes")


def _problem(name: str, kind: Management, limits: InstanceLimits | None, prefixes: bool) -> tuple[str, str]:
    """What is wrong with an instance type, and what to do; "" where it serves."""
    if limits is None:
        advice = "Add it to the file of VPC_RC_INSTANCE_LIMITS_FILE; branch interfaces need its limit"
        return f"instance type {name} is unknown", advice
    if kind is Management.LINUX and not limits.max_branch_interfaces:
        advice = "Pods with security groups cannot run on it: use a type with branch interfaces (Nitro)"
        return f"instance type {name} has no trunk", advice
    if kind is Management.WINDOWS and prefixes and not limits.nitro:
        return f"instance type {name} takes no prefixes", "Its nodes stay on secondary addresses: use a Nitro type"
    return "", ""


def check_vpc(invoke: Invoke, settings: Settings) -> Iterator[Finding]:
    """Raises OutsideError."""
    subnets = list(described(invoke, "DescribeSubnets", "Subnets", "vpc-id", [settings.vpc_id]))
    if subnets:
        free = sum(int(one.get("AvailableIpAddressCount", 0)) for one in subnets)
        yield Finding(area=AREA, what=f"{settings.vpc_id}: {len(subnets)} subnets, {free} free addresses")
        return
    advice = "VPC_RC_VPC_ID must be the cluster's VPC: aws eks describe-cluster; check region and account, too"
    what = f"{settings.vpc_id} has no subnets"
    yield Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where="EC2 DescribeSubnets")


def check_instances(invoke: Invoke, settings: Settings, found: list[Node]) -> Iterator[Finding]:
    """Whether the nodes' instances are in our VPC and of our cluster. Raises OutsideError."""
    ids = [one.facts.instance_id for one in found if one.facts.instance_id][:NODES_LOOKED_AT]
    where = f"EC2 DescribeInstances of {len(ids)} nodes"
    if not ids:
        advice = "There are no nodes yet, or none has a providerID of AWS"
        yield Finding(area=AREA, what="no node names an instance", state=State.UNKNOWN, advice=advice, where="nodes")
        return
    reservations = described(invoke, "DescribeInstances", "Reservations", "instance-id", ids)
    instances = [one for reservation in reservations for one in reservation["Instances"]]
    if not instances:
        advice = "Region, account or role are another cluster's: VPC_RC_AWS_REGION, VPC_RC_ROLE_ARN, credentials"
        yield Finding(area=AREA, what="EC2 knows no node", state=State.WRONG, advice=advice, where=where)
        return
    vpcs = {str(one["VpcId"]) for one in instances if one.get("VpcId")}
    if vpcs and settings.vpc_id not in vpcs:
        advice = f"VPC_RC_VPC_ID must be {' or '.join(sorted(vpcs))}"
        what = f"no node is in {settings.vpc_id}"
        yield Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where=where)
    else:
        yield Finding(area=AREA, what=f"nodes are in {settings.vpc_id}", where=where)
    clusters = {name for one in instances for name in _clusters(one)}
    if not clusters:
        advice = f"No instance has a tag {ANY_CLUSTER}NAME to compare with"
        yield Finding(area=AREA, what="cluster name", state=State.UNKNOWN, advice=advice, where=where)
    elif settings.cluster_name in clusters:
        yield Finding(area=AREA, what=f"nodes are of {settings.cluster_name}", where=where)
    else:
        advice = f"VPC_RC_CLUSTER_NAME must be {' or '.join(sorted(clusters))}"
        what = f"no node is of cluster {settings.cluster_name}"
        yield Finding(area=AREA, what=what, state=State.WRONG, advice=advice, where=where)


def _clusters(instance: Any) -> Iterator[str]:
    for tag in instance.get("Tags") or ():
        if str(tag["Key"]).startswith(ANY_CLUSTER):
            yield str(tag["Key"]).removeprefix(ANY_CLUSTER)
