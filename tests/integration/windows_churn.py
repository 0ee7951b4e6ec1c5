"""Pods that come and go on Windows nodes at a steady pace, while people change the mode of addresses; and what must
hold of their addresses then."""

import ipaddress
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common.model.ids import Prefix
from common.model.names import PRIVATE_IPV4
from common.node.windows.pool import REST_SECONDS, addresses_of
from tests.integration.rig import Rig

IPAM = {"enable_windows_ipam": "true"}
PREFIXES = {**IPAM, "enable_windows_prefix_delegation": "true"}
WINDOWS = {"kubernetes.io/os": "windows"}
LIVES_SECONDS = (5.0, 15.0)
LOOK_SECONDS = 0.25
"""How often pods are looked at: a time is known no better."""


def primary(rig: Rig, instance: str) -> dict[str, Any]:
    """The primary interface of an instance, as EC2 has it."""
    interfaces: list[dict[str, Any]] = rig.ec2("GET", "state")["interfaces"]
    return next(
        i
        for i in interfaces
        if i["attachment"] and (i["attachment"]["instance_id"], i["attachment"]["device_index"]) == (instance, 0)
    )


def given(pod: dict[str, Any]) -> str | None:
    """The pod's address, without the length of its network."""
    text: str = pod["metadata"].get("annotations", {}).get(PRIVATE_IPV4, "")
    return text.partition("/")[0] or None


def held(interface: dict[str, Any]) -> set[str]:
    """Every address that the interface can give to pods."""
    inside = {ip for prefix in interface["prefixes"] for ip in addresses_of(Prefix(prefix))}
    return inside | set(interface["secondary_ips"])


@dataclass
class Churn:
    """Call `run`, then `settled`. `problems` tells what must never be."""

    rig: Rig
    nodes: dict[str, str]
    """Instance by node."""
    rate: float
    seconds: float
    switches: Sequence[tuple[float, dict[str, str]]] = ()
    """Content of the ConfigMap from so many seconds on."""
    seed: int = 0
    asked: dict[str, float] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _owners: dict[str, str] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def run(self) -> None:
        rng, began, looked = random.Random(self.seed), time.monotonic(), 0.0
        ends: dict[str, float] = {}
        switches, names = list(self.switches), sorted(self.nodes)
        while (passed := time.monotonic() - began) < self.seconds:
            while switches and switches[0][0] <= passed:
                self.rig.set_config(**switches.pop(0)[1])
            if len(self.asked) < self.rate * passed:
                name = f"churn-{self.seed}-{len(self.asked):04}"
                self.rig.add_pod(name, names[len(self.asked) % len(names)], resource=PRIVATE_IPV4)
                self.asked[name] = time.monotonic()
                ends[name] = passed + rng.uniform(*LIVES_SECONDS)
            for name in [name for name, end in ends.items() if end <= passed]:
                del ends[name]
                self._end(name)
            if passed - looked >= LOOK_SECONDS:
                looked = passed
                self._look()
            time.sleep(0.01)

    def settled(self, seconds: float) -> float:
        """Seconds until every living pod has an address that is its node's own."""
        taken = self.rig.wait_for_none("pods without an address", lambda: self.rig.unserved(PRIVATE_IPV4), seconds)
        self._look()
        for node, instance in self.nodes.items():
            own = held(primary(self.rig, instance))
            for pod in self.rig.pods():
                address = given(pod)
                if pod["spec"]["nodeName"] == node and address not in own:
                    self.problems.append(f"{pod['metadata']['name']}: {address} is not its node's")
        return taken

    def _end(self, name: str) -> None:
        pod = self.rig.pod(name)
        if (address := given(pod)) is None:
            self.problems.append(f"{name} lived for {LIVES_SECONDS[0]:.0f} s or longer without an address")
        self.rig.remove_pod(name)
        if address is not None:
            self._note(pod, address)
            self._ended[address] = time.monotonic()

    def _look(self) -> None:
        for pod in self.rig.pods():
            if (address := given(pod)) is not None:
                self._note(pod, address)

    def _note(self, pod: dict[str, Any], address: str) -> None:
        ipaddress.IPv4Address(address)
        name, now = pod["metadata"]["name"], time.monotonic()
        if name not in self._seen and name in self.asked:
            self._seen.add(name)
            self.waits.append(now - self.asked[name])
        before = self._owners.get(address)
        if before == name:
            return
        self._owners[address] = name
        ended = self._ended.pop(address, None)
        if before is not None and ended is None:
            self.problems.append(f"{address} is given to {name} while {before} lives")
        elif ended is not None and now - ended < REST_SECONDS - LOOK_SECONDS:
            self.problems.append(f"{address} of {before} rested only {now - ended:.1f} s before {name} got it")
