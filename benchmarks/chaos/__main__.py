"""`python -m benchmarks.chaos --seeds 20 --minutes 5`: one life a seed. Two watchers and two workers on a real Redis,
the sandbox's EC2 and API server, each behind a link that can fail. The judge sees nothing but the histories of EC2 and
Kubernetes.

At the end everything heals: every living pod is served, then all go, and nothing is left. Exit status 1 where a rule
was broken on the way. What happens when is drawn by the seed; what processes make of it differs from run to run.
"""

import argparse
import json
import random
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.chaos.faults import Chaos
from benchmarks.chaos.life import Life
from benchmarks.faults import after, broken, nothing_left, restarted
from benchmarks.figures import Figures
from benchmarks.proxy import Proxy
from benchmarks.stand import Stand, standing
from common.model.names import POD_ENI, PRIVATE_IPV4

POD_SECONDS = (0.1, 0.6)
"""Between two changes of pods."""
CLUSTER_SECONDS = (4.0, 16.0)
FAULT_SECONDS = (3.0, 12.0)
SERVED_SECONDS = 300.0
"""From the end of all trouble until every living pod is served."""
SETTINGS = {"VPC_RC_SWEEP_SECONDS": "20", "VPC_RC_NODE_RELEASE_SECONDS": "5"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many lives")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--minutes", type=float, default=5.0, help="of trouble in each life")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line of JSON for each life to this file")
    options = parser.parse_args()
    console, wrong = Console(width=None if sys.stdout.isatty() else 120), 0
    for seed in range(options.first, options.first + options.seeds):
        figures = Figures(f"chaos {seed}")
        live(figures, seed, options.minutes * 60)
        figures.show(console)
        wrong += bool(figures.wrong)
        if options.json:
            with options.json.open("a") as file:
                file.write(figures.line() + "\n")
    return int(wrong > 0)


def live(figures: Figures, seed: int, seconds: float) -> None:
    with standing(figures, workers=0, judged=True, settings=SETTINGS) as stand:
        life = Life(stand, random.Random(seed))
        chaos = Chaos(stand, random.Random(seed + 1), links(stand))
        stand.start_product(watchers=2)
        life.begin()
        began = time.monotonic()
        with _beside(lambda: _churn(life, began + seconds)):
            while time.monotonic() < began + seconds:
                chaos.act()
                time.sleep(chaos.rng.uniform(*FAULT_SECONDS))
        chaos.undo(everything=True)
        restarted(stand)
        healed = time.monotonic()
        figures.add(seconds=seconds, faults=len(chaos.faults.done), **life.done)
        _all_served(stand, figures)
        figures.add(all_served_after_s=time.monotonic() - healed)
        _waits(stand, figures, life, chaos)
        broken(stand, figures)
        life.end()
        nothing_left(stand, figures)
        broken(stand, figures)


def links(stand: Stand) -> dict[str, Proxy]:
    """The product, which is not started yet, will use these."""
    rig = stand.rig
    found = {"redis": Proxy(stand.redis.port), "API": Proxy(_port(rig.kube_url)), "EC2": Proxy(_port(rig.ec2_url))}
    config = json.loads((rig.folder / "kubeconfig").read_text())
    config["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{found['API'].port}"
    path = rig.folder / "kubeconfig-by-proxy"
    path.write_text(json.dumps(config))
    ec2 = f"http://127.0.0.1:{found['EC2'].port}"
    rig.environment |= {
        "VPC_RC_REDIS_URL": f"redis://127.0.0.1:{found['redis'].port}/0",
        "VPC_RC_KUBECONFIG": str(path),
        "AWS_ENDPOINT_URL_EC2": ec2,
        "AWS_ENDPOINT_URL_STS": ec2,
    }
    return found


def _port(url: str) -> int:
    port = urllib.parse.urlsplit(url).port
    assert port is not None
    return port


@contextmanager
def _beside(work: object) -> Iterator[None]:
    assert callable(work)
    broke: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again by the thread that waits
            broke.append(error)

    thread = threading.Thread(target=run, name="life", daemon=True)
    thread.start()
    yield
    thread.join()
    if broke:
        raise AssertionError(f"the life broke: {broke[0]!r}") from broke[0]


def _churn(life: Life, end: float) -> None:
    cluster_at = time.monotonic()
    while (now := time.monotonic()) < end:
        if now >= cluster_at:
            life.move_cluster()
            cluster_at = now + life.rng.uniform(*CLUSTER_SECONDS)
        life.move_pods()
        time.sleep(life.rng.uniform(*POD_SECONDS))


def _all_served(stand: Stand, figures: Figures) -> None:
    def waiting() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in stand.rig.pods()
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            and not {POD_ENI, PRIVATE_IPV4} & (pod["metadata"].get("annotations") or {}).keys()
        ]

    deadline = time.monotonic() + SERVED_SECONDS
    while left := waiting():
        if time.monotonic() > deadline:
            figures.wrong.append(f"{len(left)} pods not served {SERVED_SECONDS:.0f} s after all is well: {left[:5]}")
            return
        restarted(stand)
        time.sleep(0.5)


def _waits(stand: Stand, figures: Figures, life: Life, chaos: Chaos) -> None:
    """Waits of pods that were served, by the fault that each met first."""
    served = stand.watch.served
    pods = {name: (asked, served[name]) for name, asked in life.asked.items() if name in served}
    figures.add(pods=len(life.asked), served=len(pods))
    figures.waits("wait", [until - asked for asked, until in pods.values()])
    after(figures, pods, chaos.faults)


if __name__ == "__main__":
    sys.exit(main())
