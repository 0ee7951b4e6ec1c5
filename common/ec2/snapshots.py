"""All that EC2 knows of many instances, in few calls: a thousand nodes with ten branches each take about forty."""

from collections import defaultdict
from collections.abc import Container, Iterable

from common.ec2.api import Ec2
from common.logging import get_logger
from common.model.ec2 import Instance, InstanceSnapshot, Interface
from common.model.errors import Denied
from common.model.ids import EniId, InstanceId
from common.model.limits import InstanceLimits
from common.model.names import INSTANCE_TAG, TRUNK_TAG

GONE = frozenset({"shutting-down", "terminated"})

_log = get_logger(__name__)


def load_snapshots(
    ec2: Ec2, instance_ids: Iterable[InstanceId], known_types: Container[str], now: float
) -> dict[InstanceId, InstanceSnapshot]:
    """A snapshot of each instance, those that EC2 does not know or that are going included (`instance` None).
    All or nothing: a part of an instance's interfaces would look as if the others were gone. Only the limits of types
    that are not among `known_types` may be missing, for reading them takes a permission of its own. Raises as `Ec2`
    does."""
    ids = list(dict.fromkeys(instance_ids))
    described = ec2.describe_instances(ids)
    alive = {name: one for name, one in described.items() if one.state not in GONE and one.whole}
    subnets = ec2.describe_subnets({one.subnet_id for one in alive.values() if one.subnet_id})
    interfaces = _interfaces(ec2, ids, alive.values())
    limits = _limits(ec2, {one.instance_type for one in alive.values() if one.instance_type not in known_types})
    return {
        instance_id: InstanceSnapshot(
            taken_at=now,
            instance=alive.get(instance_id),
            subnet=subnets.get(alive[instance_id].subnet_id) if instance_id in alive else None,
            interfaces=tuple(interfaces[instance_id].values()),
            limits=limits.get(alive[instance_id].instance_type) if instance_id in alive else None,
        )
        for instance_id in ids
    }


def _limits(ec2: Ec2, types: Iterable[str]) -> dict[str, InstanceLimits]:
    try:
        return ec2.describe_instance_types(types)
    except Denied as error:
        _log.warning("limits of instance types not read", types=sorted(types), error=str(error))
        return {}


def _interfaces(ec2: Ec2, ids: list[InstanceId], alive: Iterable[Instance]) -> dict[InstanceId, dict[EniId, Interface]]:
    found: dict[InstanceId, dict[EniId, Interface]] = defaultdict(dict)
    for one in ec2.describe_interfaces(filters={f"tag:{INSTANCE_TAG}": ids}):
        found[InstanceId(one.tags[INSTANCE_TAG])][one.eni_id] = one
    on_instances = {i.eni_id: (one.instance_id, i) for one in alive for i in one.interfaces if i.type == "trunk"}
    attached = {trunk: instance_id for trunk, (instance_id, _) in on_instances.items()}
    # A trunk of the reference may lack the instance's tag, and so may its branches: they name the trunk.
    untagged = [trunk for trunk, instance_id in attached.items() if trunk not in found[instance_id]]
    for one in ec2.describe_interfaces(ids=untagged):
        found[attached[one.eni_id]][one.eni_id] = one
    # The two lists lag behind each by itself.
    for trunk, (instance_id, shown) in on_instances.items():
        found[instance_id].setdefault(trunk, shown)
    tagged = {one.eni_id: owner for owner, some in found.items() for one in some.values() if one.type == "trunk"}
    trunks = {**tagged, **attached}
    for one in ec2.describe_interfaces(filters={f"tag:{TRUNK_TAG}": list(trunks)}):
        if one.trunk_tag in trunks:
            found[trunks[one.trunk_tag]].setdefault(one.eni_id, one)
    return found
