"""Two leaders at once, and a Redis that knows an older state than the processes: under load nothing is shared, no pod
loses what it has, and it comes to rest."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import LAST_SECONDS, Faults, Load, ready_nodes, report, restarted
from benchmarks.figures import Figures
from benchmarks.stand import Stand, standing
from common.store import Store, connect, keys
from tests.integration.rig import CLUSTER
from tests.integration.test_fast_failover import LEASE
from tests.integration.test_stale_processes import refused_terms

NODES, PODS_A_SECOND = 6, 3.0
SECONDS = 10
COPY_AGE_SECONDS = 5.0
CALM_SECONDS = 3.0
LONGEST_WAIT_SECONDS = 20.0
"""The longest wait of a pod that comes meanwhile."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * LAST_SECONDS)]


def under_load(disturb: Callable[[Stand], None]) -> Figures:
    """What pods waited that came before, during and after it, and what was wrong, at the end with all pods gone."""
    figures = Figures("overlap")
    with standing(figures, workers=0, judged=True, config={"branch_eni_cooldown": "30"}) as stand:
        stand.start_product(watchers=2)
        load = Load(stand, ready_nodes(stand, NODES), PODS_A_SECOND)
        with load.running():
            time.sleep(CALM_SECONDS)
            disturb(stand)
            time.sleep(CALM_SECONDS)
        report(stand, figures, load, Faults())
    print(figures.line())
    return figures


def give_away(stand: Stand) -> None:
    """The Lease is written as if another watcher that lives had won it. Its holder learns of it at its next renewal."""
    store = Store.on(connect(stand.redis.url), keys.prefix(CLUSTER))
    lease: dict[str, Any] = stand.rig.kube("GET", LEASE)
    others = sorted(set(store.members.alive("watcher")) - {lease["spec"]["holderIdentity"]})
    if others:
        lease["spec"] |= {"holderIdentity": others[0]}
        stand.rig.kube("PUT", LEASE, lease)


def test_two_leaders_at_once() -> None:
    leading: list[int] = []

    def disturb(stand: Stand) -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            give_away(stand)
            again = time.monotonic() + 1.0
            while time.monotonic() < again:
                watchers = [p for p in stand.own if p.name.startswith("watcher")]
                leading.append(sum(int(stand.rig.metric(p, "vpc_rc_leader")) for p in watchers))
            restarted(stand)
        leading.append(-refused_terms(stand.redis))

    figures = under_load(disturb)
    assert figures.wrong == []
    assert max(leading) == 2, "two led at once"
    assert leading[-1] < 0, "the earlier one's writes were refused"
    assert float(figures.values["wait_longest_s"]) < LONGEST_WAIT_SECONDS


def copied(stand: Stand, folder: Path) -> Path:
    """Redis' files as they are now."""
    return shutil.copytree(stand.redis._directory, folder / "copy")


def come_back(stand: Stand, copy: Path) -> None:
    """Redis is killed and started from the copy."""
    content: Path = stand.redis._directory
    stand.redis.kill()
    for each in content.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.copytree(copy, content, dirs_exist_ok=True)
    stand.redis.start()


def test_redis_comes_back_as_it_was_five_seconds_ago(tmp_path: Path) -> None:
    def disturb(stand: Stand) -> None:
        copy = copied(stand, tmp_path)
        time.sleep(COPY_AGE_SECONDS)
        come_back(stand, copy)

    figures = under_load(disturb)
    assert figures.wrong == []
    assert float(figures.values["wait_longest_s"]) < LONGEST_WAIT_SECONDS


def test_redis_comes_back_older_after_another_watcher_took_over(tmp_path: Path) -> None:
    """The copy has the earlier leader's term, and the locks and messages of a worker that is dead."""

    def disturb(stand: Stand) -> None:
        copy = copied(stand, tmp_path)
        for process in (stand.own[0], stand.own[-1]):
            process.kill()
        time.sleep(COPY_AGE_SECONDS)
        restarted(stand)
        come_back(stand, copy)

    figures = under_load(disturb)
    assert figures.wrong == []
    assert float(figures.values["wait_longest_s"]) < LONGEST_WAIT_SECONDS
