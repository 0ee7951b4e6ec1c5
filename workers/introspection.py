"""`/resources/all`, `/resources/summary` and `/node/<name>`: what the ledgers hold, in the reference's JSON shapes.

Resource names are keys; a node stands under those that it has. Read from Redis, so every worker answers for all nodes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from common.model.errors import LedgerUnreadable, StoreUnavailable
from common.model.ids import NodeName
from common.model.ledger import Address, AddressState, Branch, BranchState, Ledger, Pool, TrunkState
from common.model.names import POD_ENI, PRIVATE_IPV4
from common.probes import Answer, Respond
from common.store import Store

FROM_PREFIX = "vpc.amazonaws.com/PrivateIPv4AddressFromPrefix"
"""The reference's name for Windows addresses out of prefixes."""
_RELEASED = (BranchState.COOLING, BranchState.DISASSOCIATED)
_JSON = "application/json"


def introspection(store: Store) -> Respond:
    """The answers for common.probes.Server. 503 while Redis cannot be reached."""

    def respond(path: str) -> Answer:
        try:
            if path == "/resources/all":
                return _json(_by_resource(store.ledgers.all(), _details))
            if path == "/resources/summary":
                return _json(_by_resource(store.ledgers.all(), _summary))
            if path.startswith("/node/"):
                ledger = store.ledgers.load(NodeName(unquote(path.removeprefix("/node/"))))
                return _json({name: {} for name in _RESOURCES} | (_details(ledger) if ledger else {}))
        except (StoreUnavailable, LedgerUnreadable) as error:
            return Answer(503, "text/plain; charset=utf-8", f"{error}\n".encode())
        return Answer(404, "text/plain; charset=utf-8", b"not found\n")

    return respond


_RESOURCES = (PRIVATE_IPV4, FROM_PREFIX, POD_ENI)


def _json(value: object) -> Answer:
    return Answer(200, _JSON, msgspec.json.encode(value))


def _by_resource(ledgers: Mapping[NodeName, Ledger], show: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in _RESOURCES}
    for node, ledger in ledgers.items():
        for resource, value in show(ledger).items():
            found[resource][node] = value
    return found


def _trunked(ledger: Ledger) -> bool:
    return ledger.trunk.state is not TrunkState.ABSENT or bool(ledger.branches)


def _pool_resource(pool: Pool) -> str:
    return FROM_PREFIX if pool.prefixes else PRIVATE_IPV4


def _details(ledger: Ledger) -> dict[str, Any]:
    """By resource, what the node holds of it."""
    found: dict[str, Any] = {}
    if _trunked(ledger):
        of_pods: dict[str, list[dict[str, Any]]] = {}
        for branch in sorted(ledger.branches.values(), key=lambda branch: (branch.pod_uid, branch.ordinal)):
            if branch.eni_id and branch.state not in (*_RELEASED, BranchState.IDLE):
                of_pods.setdefault(branch.pod_uid, []).append(_branch(branch))
        released = [branch for branch in ledger.branches.values() if branch.state in _RELEASED]
        found[POD_ENI] = {
            "PodToBranchENI": of_pods,
            "DeleteQueue": [_branch(branch) for branch in sorted(released, key=lambda branch: branch.since)],
        } | _instance(ledger)
    if ledger.pool is not None:
        addresses = ledger.pool.addresses.values()
        found[_pool_resource(ledger.pool)] = {
            "UsedResources": {a.pod_uid: _resource(a) for a in addresses if a.state is AddressState.ASSIGNED},
            "WarmResources": _warm(ledger.pool),
            "CoolingResources": [
                {"Resource": _resource(a), "DeletionTimestamp": datetime.fromtimestamp(a.since, tz=UTC).isoformat()}
                for a in addresses
                if a.state is AddressState.COOLING
            ],
        }
    return found


def _summary(ledger: Ledger) -> dict[str, Any]:
    """By resource, how many the node holds of it."""
    found: dict[str, Any] = {}
    if _trunked(ledger):
        live = [b for b in ledger.branches.values() if b.eni_id and b.state not in _RELEASED]
        released = [b for b in ledger.branches.values() if b.state in _RELEASED]
        found[POD_ENI] = {"BranchENICount": len(live), "DeleteQueueLen": len(released)} | _instance(ledger)
    if ledger.pool is not None:
        states = [address.state for address in ledger.pool.addresses.values()]
        found[_pool_resource(ledger.pool)] = {
            "UsedResourcesCount": states.count(AddressState.ASSIGNED),
            "WarmResourcesCount": sum(len(some) for some in _warm(ledger.pool).values()),
            "CoolingResourcesCount": states.count(AddressState.COOLING),
        }
    return found


def _instance(ledger: Ledger) -> dict[str, str]:
    return {
        "TrunkENIID": ledger.trunk.eni_id or "",
        "InstanceID": ledger.instance.instance_id if ledger.instance else "",
    }


def _branch(branch: Branch) -> dict[str, Any]:
    """As in the pod's annotation."""
    return {
        "eniId": branch.eni_id or "",
        "ifAddress": branch.mac,
        "privateIp": branch.private_ip,
        "ipv6Addr": branch.ipv6,
        "vlanId": branch.vlan,
        "subnetCidr": branch.subnet_cidr,
        "subnetV6Cidr": branch.subnet_v6_cidr,
        "associationID": branch.association or "",
    }


def _resource(address: Address) -> dict[str, str]:
    return {"GroupID": address.prefix or address.ip, "ResourceID": address.ip}


def _warm(pool: Pool) -> dict[str, list[dict[str, str]]]:
    """Free secondary addresses, each a group of its own. Free addresses of a prefix are not listed one by one: the
    prefix stands as a group."""
    warm = {prefix: [{"GroupID": str(prefix), "ResourceID": str(prefix)}] for prefix in pool.prefixes}
    used = {address.prefix for address in pool.addresses.values() if address.prefix}
    found = {str(prefix): entry for prefix, entry in warm.items() if prefix not in used}
    for address in pool.addresses.values():
        if address.state is AddressState.WARM and address.prefix is None:
            found[str(address.ip)] = [_resource(address)]
    return found
