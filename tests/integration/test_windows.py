"""Windows nodes over the APIs of EC2 and Kubernetes: the published tables row by row, EC2's refusals, and a change of
mode while pods come and go."""

from collections.abc import Iterator
from typing import Any

import pytest

from common.model.ids import Prefix
from common.model.names import PRIVATE_IPV4
from common.node.windows.pool import addresses_of
from tests.integration.rig import Rig, running
from tests.integration.windows_churn import IPAM, PREFIXES, WINDOWS, Churn, given, held, primary

SECONDARY_ROWS: dict[tuple[str | None, str | None], list[tuple[int, int, int]]] = {
    (None, None): [(0, 3, 3)],
    ("1", "0"): [(0, 1, 1), (5, 6, 1)],
    ("5", "0"): [(0, 5, 5)],
    ("1", "1"): [(0, 1, 1), (1, 2, 1)],
    ("1", "3"): [(3, 4, 1), (5, 6, 1)],
    ("5", "10"): [(0, 10, 10)],
    ("10", "10"): [(0, 10, 10), (10, 20, 10)],
    ("15", "10"): [(10, 25, 15)],
}
"""By warm and minimum target: pods, addresses allocated, addresses warm."""
PREFIX_ROWS: dict[tuple[str | None, str | None, str | None], list[tuple[int, list[int], int]]] = {
    (None, None, None): [(0, [0], 16), (15, [15], 1), (16, [16, 0], 16)],
    ("1", None, None): [(0, [0], 16), (5, [5, 0], 27), (17, [16, 1, 0], 31)],
    ("3", None, None): [(0, [0, 0, 0], 48)],
    (None, None, "1"): [(0, [0], 16), (5, [5], 11), (15, [15], 1), (16, [16, 0], 16)],
    (None, "5", None): [(0, [0], 16), (5, [5], 11), (11, [11], 5), (12, [12, 0], 20)],
    (None, "1", "1"): [(0, [0], 16), (5, [5], 11), (17, [16, 1], 15)],
    (None, "3", "1"): [(14, [14, 0], 18)],
    (None, "7", "20"): [(0, [0, 0], 32), (5, [5, 0], 27), (17, [16, 1], 15), (26, [16, 10, 0], 22)],
}
"""By warm-prefix, warm and minimum target: pods, pods in each prefix, addresses unused."""
TYPE, SLOTS = "m5.16xlarge", 49


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("windows")
    with running(folder, VPC_RC_ENABLE_WINDOWS_PREFIX_DELEGATION="true") as (found, _):
        yield found
        assert found.faults_logged() == []
        assert found.restarts == []


def targets(base: dict[str, str], **values: str | None) -> dict[str, str]:
    return {**base, **{name: value for name, value in values.items() if value is not None}}


class Nodes:
    """Windows nodes of one test, with their pods; gone with it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.instances: dict[str, str] = {}

    def add(self, name: str, pods: int = 0) -> None:
        self.instances[name] = self.rig.add_node(name, TYPE, **WINDOWS)
        self.add_pods(name, pods)

    def add_pods(self, node: str, pods: int) -> None:
        for number in range(pods):
            self.rig.add_pod(f"{node}-{number:02}", node, resource=PRIVATE_IPV4)

    def addresses(self, node: str) -> list[str]:
        """Those that its pods have; asserts that they are the node's, and nobody else's."""
        found = [given(p) for p in self.rig.pods() if p["spec"]["nodeName"] == node]
        served = [ip for ip in found if ip is not None]
        assert len(set(served)) == len(served)
        assert set(served) <= held(primary(self.rig, self.instances[node]))
        return served

    def secondary(self, node: str) -> tuple[int, int, int]:
        """Pods with an address, addresses allocated, addresses warm."""
        total, used = len(primary(self.rig, self.instances[node])["secondary_ips"]), len(self.addresses(node))
        return used, total, total - used

    def packed(self, node: str) -> tuple[int, list[int], int]:
        """Pods with an address, pods in each prefix, addresses unused."""
        used = set(self.addresses(node))
        inside = [set(addresses_of(Prefix(p))) for p in primary(self.rig, self.instances[node])["prefixes"]]
        return len(used), sorted((len(used & ips) for ips in inside), reverse=True), sum(map(len, inside)) - len(used)

    def remove(self) -> None:
        for pod in self.rig.pods():
            self.rig.remove_pod(pod["metadata"]["name"])
        for node, instance in self.instances.items():
            self.rig.kube("DELETE", f"/api/v1/nodes/{node}")
            self.rig.ec2("POST", "terminate", {"instance_ids": [instance]})


@pytest.fixture
def nodes(rig: Rig) -> Iterator[Nodes]:
    made = Nodes(rig)
    yield made
    made.remove()
    rig.ec2("DELETE", "faults")


@pytest.mark.parametrize("row", SECONDARY_ROWS, ids=str)
def test_the_table_of_secondary_addresses(nodes: Nodes, rig: Rig, row: tuple[str | None, str | None]) -> None:
    warm, minimum = row
    rig.set_config(**targets(IPAM, warm_ip_target=warm, minimum_ip_target=minimum))
    place = list(SECONDARY_ROWS).index(row)
    expected = {f"s{place}-{pods}": (pods, allocated, free) for pods, allocated, free in SECONDARY_ROWS[row]}
    for node, (pods, _, _) in expected.items():
        nodes.add(node, pods)
    rig.wait("the row's figures", lambda: {n: nodes.secondary(n) for n in expected} == expected)
    rig.holds("the row's figures", lambda: {n: nodes.secondary(n) for n in expected} == expected, 1.0)
    assert {rig.capacity(node, PRIVATE_IPV4) for node in expected} == {str(SLOTS)}


@pytest.mark.parametrize("row", PREFIX_ROWS, ids=str)
def test_the_table_of_prefixes(nodes: Nodes, rig: Rig, row: tuple[str | None, str | None, str | None]) -> None:
    warm_prefix, warm, minimum = row
    names = {"warm_prefix_target": warm_prefix, "warm_ip_target": warm, "minimum_ip_target": minimum}
    rig.set_config(**targets(PREFIXES, **names))
    place = list(PREFIX_ROWS).index(row)
    expected = {f"x{place}-{pods}": (pods, packing, unused) for pods, packing, unused in PREFIX_ROWS[row]}
    for node, (pods, _, _) in expected.items():
        nodes.add(node, pods)
    rig.wait("the row's figures", lambda: {n: nodes.packed(n) for n in expected} == expected)
    rig.holds("the row's figures", lambda: {n: nodes.packed(n) for n in expected} == expected, 1.0)
    assert {rig.capacity(node, PRIVATE_IPV4) for node in expected} == {str(16 * SLOTS)}


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "throttled": ({"code": "RequestLimitExceeded", "count": 3}, ""),
    "cut": ({"code": "reset", "when": "after", "count": 2}, ""),
    "failed": ({"code": "InternalError", "when": "after", "count": 2}, ""),
    "full": ({"code": "PrivateIpAddressLimitExceeded", "count": 1}, "AddressAssignmentFailed"),
    "subnet": ({"code": "InsufficientFreeAddressesInSubnet", "count": 1}, "AddressAssignmentFailed"),
    "denied": ({"code": "UnauthorizedOperation", "count": 1}, "AddressAssignmentFailed"),
}
"""What EC2 answers to a node that asks for more addresses, and the event that its Node gets."""


def test_what_ec2_refuses_is_reported_and_asked_for_again_without_a_leak(nodes: Nodes, rig: Rig) -> None:
    rig.set_config(**IPAM)
    for node in FAULTS:
        nodes.add(node)
    rig.wait("warm addresses", lambda: all(nodes.secondary(n)[1] == 3 for n in FAULTS))
    for node, (rule, _) in FAULTS.items():
        eni = primary(rig, nodes.instances[node])["id"]
        fault = {"action": "AssignPrivateIpAddresses", "match": {"NetworkInterfaceId": eni}, **rule}
        rig.ec2("POST", "faults", [fault])
    for node in FAULTS:
        nodes.add_pods(node, 6)
    seconds = rig.wait_for_none("unserved", lambda: rig.unserved(PRIVATE_IPV4), 90)
    print(f"six pods on each of {len(FAULTS)} nodes were served in {seconds:.1f} s")
    # What a call may have brought that ended without an answer rests before it is given back.
    rig.wait("nothing beyond the target", lambda: {nodes.secondary(n) for n in FAULTS} == {(6, 9, 3)}, 90)
    # Whether two fail at the same time, and so for all, is a matter of chance here.
    of_all = {"ControllerVersionNotice", "Unavailable", "AvailableAgain"}
    reported = {n: {e["reason"] for e in rig.events(n)} - of_all for n in FAULTS}
    assert reported == {node: {reason} - {""} for node, (_, reason) in FAULTS.items()}


def test_a_subnet_without_a_free_block_is_reported_and_not_asked_again_at_once(nodes: Nodes, rig: Rig) -> None:
    rig.set_config(**PREFIXES)
    rig.ec2("POST", "faults", [{"action": "AssignPrivateIpAddresses", "code": "InsufficientCidrBlocks"}])
    nodes.add("blocks", 1)
    rig.wait("the event", lambda: bool(rig.events("blocks", "InsufficientCidrBlocks")))
    asked = rig.ec2("GET", "summary")["actions"]["AssignPrivateIpAddresses"]
    rig.holds("no further call", lambda: rig.ec2("GET", "summary")["actions"]["AssignPrivateIpAddresses"] == asked, 10)


def test_a_change_of_mode_under_churn_loses_no_pod_and_no_address(nodes: Nodes, rig: Rig) -> None:
    """Both ways. The benchmark `windows-switch` goes on for two minutes."""
    rig.set_config(**IPAM)
    for number in range(6):
        nodes.add(f"churn{number}")
    rig.wait("warm addresses", lambda: all(nodes.secondary(n)[1] == 3 for n in nodes.instances))
    churn = Churn(rig, nodes.instances, rate=5, seconds=24, switches=[(8, PREFIXES), (16, IPAM)])
    churn.run()
    seconds = churn.settled(60)
    print(f"{len(churn.asked)} pods; last served {seconds:.1f} s after the end, longest wait {max(churn.waits):.1f} s")
    assert churn.problems == []
    for pod in rig.pods():
        rig.remove_pod(pod["metadata"]["name"])
    # Nothing is left of the mode that is off, and nothing above the target of the one that is on.
    rig.wait(
        "pools at their targets",
        lambda: all((nodes.secondary(n), nodes.packed(n)) == ((0, 3, 3), (0, [], 0)) for n in nodes.instances),
        90,
    )
