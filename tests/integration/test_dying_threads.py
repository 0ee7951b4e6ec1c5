"""Every thread of every role, ended by an exception in a real process: the process says which, and is unhealthy or
ends."""

import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from sandbox.ports import free_port
from tests.integration.rig import Process, Rig, running
from watcher.kinds import RESOURCES
from watcher.run import BROKEN
from webhook.certificates import self_signed

DYING = Path(__file__).with_name("dying.py")
OTHERS = {"MainThread", "of the test"}
WATCHER = (
    *sorted(f"reflect-{resource.name}" for resource in RESOURCES.values()),
    *("events", "pulse", "leader", "usage", "lease"),
)
WORKER = ("heartbeat", "pulse", "events", "woken")
WEBHOOK = ("watch-configmaps", "watch-deployments", "watch-securitygrouppolicies", "watch-serviceaccounts")
OF_CELERY = ("Timer", "ThreadPoolExecutor", "bgThread", "asynloop")
NOTICED_SECONDS = 40.0
"""A thread in a call dies when the call ends: a watch lasts 16 s at most, a count of usage comes every 15 s."""


class Dying:
    """A role whose threads the test ends."""

    def __init__(self, rig: Rig, role: str, **settings: str) -> None:
        self.rig, self._order = rig, rig.folder / f"{role}-dying"
        self._order.write_text("")
        self.ports = {name: free_port() for name in ("health", "metrics")}
        environment = {f"VPC_RC_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self.process: Process = rig.run(
            role, sys.executable, str(DYING), role, DYING=str(self._order), **{**environment, **settings}
        )

    def live(self) -> set[str]:
        with suppress(FileNotFoundError):
            return set(self._order.with_suffix(".live").read_text().splitlines())
        return set()

    def end(self, thread: str) -> None:
        self._order.write_text(thread)

    def get(self, path: str, port: int, scheme: str = "http") -> tuple[int, str]:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(f"{scheme}://127.0.0.1:{port}{path}", timeout=3, context=trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def healthz(self) -> tuple[int, str]:
        return self.get("/healthz", self.ports["health"])

    def stir(self, number: int) -> None:
        """Have threads that wait for news come round."""
        self.rig.register(f"n{number}", f"aws:///us-west-2a/i-{number:017x}", **{"kubernetes.io/os": "linux"})

    def tells_of(self, thread: str) -> bool:
        self.get("/metrics", self.ports["metrics"])  # The thread that serves it comes round by that.
        return f"thread {thread} died: Ended" in self.healthz()[1]

    def deaths_logged(self) -> list[str]:
        lines = self.process.log.read_text().splitlines()
        return [line for line in lines if '"event": "thread_died"' in line]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, watchers=0, workers=0) as (found, _):
        yield found


def wait(holds: Callable[[], object], dying: Dying, seconds: float = NOTICED_SECONDS) -> None:
    dying.rig.wait("the thread's death is noticed", lambda: bool(holds()), seconds)


@pytest.mark.parametrize(
    "thread", [pytest.param(each, marks=[] if each == "lease" else pytest.mark.slow) for each in WATCHER]
)
def test_a_watcher_ends_with_any_of_its_threads_and_says_with_which(rig: Rig, thread: str) -> None:
    dying = Dying(rig, "watcher")
    wait(lambda: dying.get("/readyz", dying.ports["health"])[0] == 200, dying)
    wait(dying.live, dying)

    def named() -> set[str]:
        return {name for name in dying.live() if not name.startswith("http-")} - OTHERS

    rig.wait(f"the threads of the list above and no others: {WATCHER}", lambda: named() == set(WATCHER))
    dying.end(thread)
    began = time.monotonic()
    while dying.process.running and time.monotonic() - began < NOTICED_SECONDS:
        dying.stir(int(time.monotonic() * 10))
        rig.set_config(warm_ip_target=f"none {time.monotonic()}")  # An event reports it.
        time.sleep(0.3)
    assert dying.process.popen.wait(10) == BROKEN
    (line,) = dying.deaths_logged()
    assert f'"thread": "{thread}"' in line
    assert f"thread {thread} died: Ended" in dying.process.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("doomed", [("step", "run", "http", *WORKER)], ids="+".join)
def test_a_worker_that_lost_a_thread_is_unhealthy_and_says_which(rig: Rig, doomed: tuple[str, ...]) -> None:
    dying = Dying(rig, "worker")
    rig.start_watcher()
    rig.add_node("works")
    rig.wait("it works", lambda: rig.capacity("works") is not None)
    ours = {name for name in dying.live() - OTHERS if not name.startswith(OF_CELERY) and not name.startswith("http-")}
    assert ours - {"run", "step"} == set(WORKER), "the list above names every thread"
    assert dying.healthz() == (200, "ok\n")
    # Calls that last: a run and a step live long enough to be ended.
    rig.ec2("POST", "faults", [{"code": "none", "delay": 3.0, "action": "CreateNetworkInterface"}])
    for number, name in enumerate(doomed):
        thread = f"http-{dying.ports['metrics']}" if name == "http" else name
        dying.end(thread)
        rig.add_pod(f"pod{number}", "works")
        wait(partial(dying.tells_of, thread), dying)
        assert dying.healthz()[0] == 503
        said = dying.get("/metrics", dying.ports["health"])[1]
        assert f"vpc_rc_threads_died_total {number + 1}.0" in said
    assert len(dying.deaths_logged()) == len(doomed)


@pytest.mark.slow
def test_a_webhook_that_lost_a_watch_is_unhealthy_and_says_which(rig: Rig) -> None:
    pair = self_signed(["localhost"], datetime.now(UTC))
    files = {"CERT": rig.folder / "tls.crt", "KEY": rig.folder / "tls.key"}
    files["CERT"].write_bytes(pair.certificate)
    files["KEY"].write_bytes(pair.key)
    settings = {f"VPC_RC_WEBHOOK_{name}_FILE": str(file) for name, file in files.items()}
    dying = Dying(rig, "webhook", VPC_RC_WEBHOOK_PORT=str(port := free_port()), **settings)
    metrics = dying.ports["metrics"]
    wait(lambda: dying.get("/metrics", metrics)[0] == 200, dying)
    servers = {name for name in dying.live() if name.startswith(("http-", "asyncio"))}
    wait(lambda: dying.live() - OTHERS - servers >= set(WEBHOOK), dying)
    assert {name for name in dying.live() - OTHERS if not name.startswith(("http-", "asyncio", "look-up"))} == set(
        WEBHOOK
    )
    assert dying.get("/healthz", port, "https") == (200, "ok\n")
    dying.end("\n".join(WEBHOOK))
    wait(lambda: len(dying.deaths_logged()) == len(WEBHOOK), dying)
    status, said = dying.get("/healthz", port, "https")
    assert status == 503
    assert all(f"thread {thread} died: Ended" in said for thread in WEBHOOK)
    assert f"vpc_rc_threads_died_total {len(WEBHOOK)}.0" in dying.get("/metrics", metrics)[1]
