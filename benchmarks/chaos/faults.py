"""What fails: processes, Redis, the API server, EC2, and the ways to them. Each fault ends after some seconds."""

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from benchmarks.faults import Faults, kill, restarted
from benchmarks.proxy import Mode, Proxy
from benchmarks.stand import Stand
from tests.integration.rig import Process

Undo = Callable[[], None]
FROZEN_SECONDS = (5.0, 50.0)
REDIS_FROZEN_SECONDS = (2.0, 8.0)
LINK_SECONDS = (3.0, 20.0)
TROUBLE_SECONDS = (5.0, 20.0)
FULL_BYTES = 1_000_000
MODES: tuple[Mode, ...] = ("silent", "slow", "refused", "half-open")
EC2_FAULTS: dict[str, dict[str, Any]] = {
    "EC2 5xx": {"code": "InternalError", "status": 500, "rate": 0.5},
    "EC2 resets before": {"code": "reset", "rate": 0.3},
    "EC2 resets after": {"code": "reset", "when": "after", "rate": 0.3},
    "EC2 throttles": {"code": "RequestLimitExceeded", "status": 503, "rate": 0.6},
    "EC2 has no addresses": {"action": "CreateNetworkInterface", "code": "InsufficientFreeAddressesInSubnet"},
    "EC2 denies": {"action": "AssociateTrunkInterface", "code": "UnauthorizedOperation", "status": 403},
}
API_FAULTS: dict[str, int | str] = {"API 429": 429, "API 500": 500, "API 409": 409, "API resets": "reset"}


@dataclass(slots=True)
class Chaos:
    """Used by one thread."""

    stand: Stand
    rng: random.Random
    links: dict[str, Proxy]
    """The product's ways to Redis, the API server and EC2."""
    faults: Faults = field(default_factory=Faults)
    _undo: list[tuple[float, Undo]] = field(default_factory=list)
    _frozen: list[Process] = field(default_factory=list)
    _copy: Path | None = None

    def act(self) -> None:
        """End what is to end by now, start again what ended by itself, and let one more thing fail."""
        self.undo()
        restarted(self.stand)
        self.rng.choice(
            (
                self._kill,
                self._kill,
                self._end,
                self._freeze,
                self._redis,
                self._redis,
                self._link,
                self._api,
                self._ec2,
            )
        )()

    def undo(self, *, everything: bool = False) -> None:
        due = [one for one in self._undo if everything or one[0] <= time.monotonic()]
        for one in due:
            self._undo.remove(one)
            one[1]()

    def _later(self, seconds: tuple[float, float], undo: Undo) -> None:
        self._undo.append((time.monotonic() + self.rng.uniform(*seconds), undo))

    # --- processes

    def _awake(self) -> Process:
        return self.rng.choice([p for p in self.stand.own if p not in self._frozen])

    def _kill(self) -> None:
        process = self._awake()
        self.faults.note(f"kill {role(process)}")
        kill(self.stand, process)

    def _end(self) -> None:
        process = self._awake()
        self.faults.note(f"SIGTERM {role(process)}")
        kill(self.stand, process, "term")

    def _freeze(self) -> None:
        process = self._awake()
        if len([p for p in self.stand.own if role(p) == role(process) and p not in self._frozen]) < 2:
            return
        self.faults.note(f"freeze {role(process)}")
        process.pause()
        self._frozen.append(process)

        def thaw() -> None:
            self._frozen.remove(process)
            if process.running:
                process.go_on()

        self._later(FROZEN_SECONDS, thaw)

    # --- Redis

    def _redis(self) -> None:
        server = self.stand.redis
        what = self.rng.choice(("killed", "frozen", "emptied", "full", "an old copy"))
        self.faults.note(f"Redis {what}")
        match what:
            case "killed":
                server.kill()
                server.start()
            case "frozen":
                server.send(signal.SIGSTOP)
                self._later(REDIS_FROZEN_SECONDS, lambda: server.send(signal.SIGCONT))
            case "emptied":
                self._ask("FLUSHALL")
            case "full":
                self._ask("CONFIG", "SET", "maxmemory", FULL_BYTES)
                self._later(TROUBLE_SECONDS, lambda: self._ask("CONFIG", "SET", "maxmemory", 0))
            case _:
                self._restore()

    def _ask(self, *command: str | int) -> None:
        with contextlib.suppress(redis.RedisError):  # It is frozen, or starts.
            client: Any = redis.Redis(port=self.stand.redis.port, socket_timeout=1.0)
            client.execute_command(*command)

    def _restore(self) -> None:
        """Start from the copy that was made when this was drawn last; then make another."""
        server, content = self.stand.redis, self.stand.redis.directory
        server.send(signal.SIGCONT)
        if self._copy is not None:
            server.kill()
            shutil.rmtree(content)
            shutil.copytree(self._copy, content)
            server.start()
        self._copy = self.stand.rig.folder / "copy"
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(content, self._copy)

    # --- links and servers

    def _link(self) -> None:
        name, mode = self.rng.choice(sorted(self.links)), self.rng.choice(MODES)
        self.faults.note(f"link to {name} {mode}")
        link = self.links[name]
        link.set(mode)
        self._later(LINK_SECONDS, lambda: link.set("works"))

    def _api(self) -> None:
        name = self.rng.choice(sorted(API_FAULTS))
        self.faults.note(name)
        self.stand.rig.kube_fault(API_FAULTS[name], rate=0.5)
        self._later(TROUBLE_SECONDS, self.stand.rig.end_kube_faults)

    def _ec2(self) -> None:
        if self.rng.random() < 0.3:
            self.faults.note("EC2 lags")
            self.stand.rig.behave(describe_lag=[0.0, 3.0], write_lag=[0.0, 1.0])
            self._later(TROUBLE_SECONDS, lambda: self.stand.rig.behave(describe_lag=[0.0, 0.0], write_lag=[0.0, 0.0]))
            return
        name = self.rng.choice(sorted(EC2_FAULTS))
        self.faults.note(name)
        self.stand.rig.ec2("POST", "faults", [EC2_FAULTS[name]])
        self._later(TROUBLE_SECONDS, lambda: self.stand.rig.ec2("DELETE", "faults"))


def role(process: Process) -> str:
    return "watcher" if process.name.startswith("watcher") else "worker"
