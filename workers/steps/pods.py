"""Steps about pods: their groups, their annotation, their end."""

from common.model.actions import Annotate, ConfirmGone, ResolvePod
from common.model.errors import Conflict, NotFound
from common.model.names import POD_ENI
from common.model.outcome import Resolution
from common.rules.security_groups import groups_for, unusable
from workers.steps.ports import Ports
from workers.steps.table import step

CONFLICTS = 5
"""The kubelet writes the pod's status at the same time: so often the annotation is tried against the newer pod."""


@step(ResolvePod)
def resolve_pod(action: ResolvePod, ports: Ports) -> Resolution:
    """Groups by the policies of the pod's namespace, else the node's; subnet of the ENIConfig, else the node's."""
    pod, subnet_id, fallback = action.pod, action.instance_subnet.subnet_id, action.instance_groups
    problem = ""
    if action.eni_config is not None:
        config = ports.kube.get_eni_config(action.eni_config) if action.eni_config else None
        if config is None:
            problem = f"The ENIConfig {action.eni_config or '(no name)'} of the pod's node does not exist"
        else:
            subnet_id, fallback = config.subnet, config.groups or fallback
    policies = ports.lookups.policies(pod.namespace, since=pod.seen_at)
    labels = None
    if any(policy.account_selector is not None for policy in policies):
        labels = ports.lookups.account_labels(pod.namespace, pod.service_account, since=pod.seen_at)
    match = groups_for(policies, pod.namespace, pod.labels, labels)
    groups = match.groups or fallback
    problem = problem or unusable(groups)
    if problem:
        return Resolution(matched=bool(match.groups), subnet=action.instance_subnet, problem=problem)
    own = action.instance_subnet
    subnet = own if subnet_id == own.subnet_id else ports.lookups.subnet(ports.ec2, subnet_id)
    if subnet is None:
        raise NotFound("InvalidSubnetID.NotFound", f"The subnet {subnet_id} does not exist")
    return Resolution(groups=groups, matched=bool(match.groups), subnet=subnet)


@step(Annotate)
def annotate(action: Annotate, ports: Ports) -> str:
    """The annotation that the pod has afterwards: ours, or the one that it had already, which is never overwritten.
    Raises NotFound or Conflict where the pod is gone, another of the same name, or on another instance than is known:
    an address is given without a call to EC2 that would tell."""
    for last in (*[False] * (CONFLICTS - 1), True):
        facts = ports.kube.get_pod(action.namespace, action.name)
        if facts is None:
            raise NotFound("PodGone", f"{action.namespace}/{action.name}")
        if facts.uid != action.pod_uid:
            raise Conflict("PodReplaced", f"{action.namespace}/{action.name}")
        stands = facts.eni_annotation if action.annotation == POD_ENI else facts.ip_annotation
        if stands is not None:
            return stands
        if action.instance_id is not None:
            node = ports.kube.get_node(facts.node_name) if facts.node_name is not None else None
            if node is None or node.instance_id != action.instance_id:
                raise Conflict("InstanceReplaced", f"{facts.node_name} of {action.namespace}/{action.name}")
        try:
            ports.kube.annotate_pod(
                action.namespace,
                action.name,
                action.pod_uid,
                action.annotation,
                action.value,
                resource_version=facts.resource_version,
            )
            return action.value
        except Conflict:
            if last:
                raise
    raise AssertionError("unreachable")


@step(ConfirmGone)
def confirm_gone(action: ConfirmGone, ports: Ports) -> bool:
    """Whether the API server says that this pod does not run any more: gone, replaced or finished."""
    facts = ports.kube.get_pod(action.namespace, action.name)
    return facts is None or facts.uid != action.pod_uid or facts.finished
