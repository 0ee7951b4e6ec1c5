"""Looking without disturbing: processes by /proc, pods by one watch, EC2's calls by the sandbox's journal."""

import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.kube.transport import HttpTransport, Request
from common.model.names import POD_ENI, POD_UID_TAG, PRIVATE_IPV4
from sandbox.processes import usage
from tests.integration.rig import Rig

MEBIBYTE = 1024 * 1024
SANDBOX = ("ec2", "kube", "judged")


@dataclass(slots=True)
class Meter:
    """CPU and memory of named processes from the making of this on. A process that ended counts up to `read`'s last
    look at it."""

    pids: dict[str, int]
    _began: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = {name: found.cpu_seconds for name, pid in self.pids.items() if (found := usage(pid))}

    def cpu_seconds(self) -> dict[str, float]:
        """By process, since the meter was made."""
        return {
            name: found.cpu_seconds - self._began.get(name, 0.0)
            for name, pid in self.pids.items()
            if (found := usage(pid))
        }

    def peak_mebibytes(self) -> dict[str, float]:
        """By process, of its whole life."""
        return {name: found.peak_bytes / MEBIBYTE for name, pid in self.pids.items() if (found := usage(pid))}


def shown(values: dict[str, float], digits: int = 1) -> str:
    """`a 1.0, b 2.0`"""
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


class PodWatch:
    """When each pod was first seen with an annotation of ours: one watch, in a thread that ends with the process.
    Times are of `time.monotonic`."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        self._changed = threading.Condition()
        self.served: dict[str, float] = {}
        """By name, which benchmarks never use twice."""
        self._broke = ""
        threading.Thread(target=self._follow, name="pods", daemon=True).start()

    def wait(self, names: Iterable[str], seconds: float) -> list[str]:
        """Until all of these are served, for so long; those that are not. Raises ConnectionError where the watch
        ended."""
        missing, deadline = set(names), time.monotonic() + seconds
        with self._changed:
            while True:
                missing -= self.served.keys()
                if self._broke:
                    raise ConnectionError(self._broke)
                left = deadline - time.monotonic()
                if not missing or left <= 0:
                    return sorted(missing)
                self._changed.wait(min(left, 1.0))

    def _follow(self) -> None:
        query = {"watch": "true", "timeoutSeconds": "7200"}
        try:
            for line in self._transport.stream(Request("GET", "/api/v1/pods", query=query, timeout=7200)):
                # Nearly all events of a large cluster's first list are of pods served before.
                now, event = time.monotonic(), json.loads(line)
                metadata = event["object"]["metadata"]
                given = metadata.get("annotations") or {}
                if metadata["name"] not in self.served and (POD_ENI in given or PRIVATE_IPV4 in given):
                    with self._changed:
                        self.served[metadata["name"]] = now
                        self._changed.notify_all()
            self._broke = "the watch ended"
        except Exception as error:  # noqa: BLE001  # the thread's only way to tell: `wait` raises it
            self._broke = f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class Journal:
    """The calls that reached the sandbox's EC2, in order."""

    calls: list[dict[str, Any]]

    @classmethod
    def read(cls, rig: Rig) -> "Journal":
        # Those of another client (benchmarks.tenant) change nothing.
        return cls([call for call in rig.ec2("GET", "journal") if not call["params"].get("DryRun")])

    def counts(self) -> Counter[str]:
        return Counter(call["action"] for call in self.calls)

    def of(self, action: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["action"] == action]

    def throttled(self) -> int:
        return sum(call["outcome"] == "RequestLimitExceeded" for call in self.calls)

    def mean_latency(self, *actions: str) -> float:
        """What one successful call of each of these takes together, in seconds."""
        total = 0.0
        for action in actions:
            taken = [call["latency"] for call in self.of(action) if call["outcome"] == "ok"]
            total += sum(taken) / len(taken) if taken else 0.0
        return total

    def latencies(self, pods: Collection[Mapping[str, Any]]) -> dict[str, float]:
        """What the successful calls for each pod's branch interfaces took together, by name of the pod."""
        owners = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods}
        for pod in pods:
            for entry in json.loads(pod["metadata"].get("annotations", {}).get(POD_ENI, "[]")):
                owners[entry["eniId"]] = pod["metadata"]["name"]
        taken = dict.fromkeys(owners.values(), 0.0)
        for call in self.calls:
            params = call["params"]
            tags = [tag for tagged in params.get("TagSpecifications", ()) for tag in tagged["Tags"]]
            named = {params.get("NetworkInterfaceId"), params.get("BranchInterfaceId")}
            named |= {tag["Value"] for tag in tags if tag["Key"] == POD_UID_TAG}
            for owner in {owners[name] for name in named if name in owners} if call["outcome"] == "ok" else ():
                taken[owner] += call["latency"]
        return taken
