"""The enumeration is worth what it finds: with fencing, client tokens or intent-before-call taken away it fails,
and so do lives in which interfaces are given on, without what makes that safe."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.model.ids import NodeName
from common.model.ledger import BranchState, Ledger
from common.node import departure, planner
from common.node.branch import idle, releasing, serving
from common.store import keys
from common.store.ledger import Ledgers
from common.store.lock import NodeLock
from sandbox.ec2.world import Ec2World
from tests.simulation import lives
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
from tests.simulation.test_worlds import lived, moments
from tests.simulation.worlds import WORLDS
from workers.node_run import NodeRun
from workers.reconcile import Reconciler

Simulate = Callable[..., Cluster]


def without_fencing(patch: pytest.MonkeyPatch) -> None:
    """Whoever saves, saves."""

    def save(self: Ledgers, name: NodeName, ledger: Ledger | None, owner: str, token: int) -> None:
        if ledger is None:
            real(self, name, ledger, owner, token)
        else:
            self._link.command("SET", keys.ledger(self._prefix, name), msgspec.msgpack.encode(ledger))
            self._link.command("SADD", keys.ledgers(self._prefix), name)

    real = Ledgers.save
    patch.setattr(Ledgers, "save", save)
    patch.setattr(NodeLock, "holds", lambda *_: True)


def without_tokens(patch: pytest.MonkeyPatch) -> None:
    real = Ec2World.call

    def call(self: Ec2World, action: str, params: dict[str, Any], **more: Any) -> Any:
        return real(self, action, {k: v for k, v in params.items() if k != "ClientToken"}, **more)

    patch.setattr(Ec2World, "call", call)


def without_intents(patch: pytest.MonkeyPatch) -> None:
    """What is planned is recorded only with its outcome."""
    known: dict[str, Ledger] = {}
    apply, leave, save = NodeRun._apply, Reconciler._leave, NodeRun._save

    def applied(run: NodeRun, ended: Any) -> None:
        apply(run, ended)
        known[run.owner] = run.ledger

    def left(self: Reconciler, run: NodeRun, ending: Any) -> None:
        if run.saved is not None:
            save(run, run.ledger)
        leave(self, run, ending)

    def late(run: NodeRun, ledger: Ledger | None) -> None:
        save(run, ledger if ledger is None else known.get(run.owner, run.saved or Ledger(node=run.node)))

    patch.setattr(NodeRun, "_apply", applied)
    patch.setattr(Reconciler, "_leave", left)
    patch.setattr(NodeRun, "_save", late)


def crash(cluster: Cluster, number: int) -> None:
    cluster.points.cut = frozenset({2 * number + 1})


def overtake(cluster: Cluster, number: int) -> None:
    cluster.points.pause_before, cluster.points.meanwhile = number, cluster.overtaken


@pytest.mark.parametrize(
    ("taken_away", "disturb", "life", "where"),
    [
        (without_fencing, overtake, lives.linux_life, "EC2"),
        (without_tokens, crash, lives.linux_life, "EC2 CreateNetworkInterface"),
        (without_intents, crash, lives.brief_life, "EC2 CreateNetworkInterface"),
    ],
    ids=["fencing", "client tokens", "intent before call"],
)
def test_a_safeguard_taken_away_is_missed(
    taken_away: Callable[[pytest.MonkeyPatch], None],
    disturb: Callable[[Cluster, int], None],
    life: lives.Life,
    where: str,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lived(points: CrashPoints, number: int | None = None) -> bool:
        cluster = simulate(points=points)
        if number is not None:
            disturb(cluster, number)
        with monkeypatch.context() as patch:
            taken_away(patch)
            try:
                life(cluster)
            except AssertionError:
                return False
        return True

    whole = CrashPoints()
    assert lived(whole), "undisturbed, the life goes well without it"
    numbers = [n for n, call in enumerate(whole.calls) if call.startswith(where)]
    assert not all(lived(CrashPoints(), number) for number in numbers), "no disturbed life went wrong without it"


def given_on_before_it_rested(patch: pytest.MonkeyPatch) -> None:
    real = idle.takeable

    def takeable(state: Any) -> Any:
        resting = [b for b in state.ledger.branches.values() if b.state is BranchState.COOLING and not b.unwanted]
        return real(state) + [branch for branch in resting if not branch.releasing]

    patch.setattr(serving, "takeable", takeable)


def idle_under_the_tag_of_its_pod(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(releasing, "keep", idle.put)


def an_old_record_believed(patch: pytest.MonkeyPatch) -> None:
    def believed(state: Any) -> bool:
        state.change(epoch=state.desired.epoch or state.ledger.epoch)
        return True

    patch.setattr(planner, "believed", believed)
    patch.setattr(departure, "outdated", lambda _: False)


@pytest.mark.parametrize(
    ("taken_away", "world"),
    [
        (given_on_before_it_rested, "reuse-undisturbed"),
        (idle_under_the_tag_of_its_pod, "reuse-redis-lost"),
        (an_old_record_believed, "reuse-redis-restored-60s-old"),
    ],
    ids=["rest", "empty tag", "age of the record"],
)
def test_what_makes_reuse_safe_is_missed_when_it_is_taken_away(
    taken_away: Callable[[pytest.MonkeyPatch], None],
    world: str,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = moments(WORLDS[world], simulate, 40)
    taken_away(monkeypatch)

    def goes_well(number: int) -> bool:
        try:
            lived(WORLDS[world], number, simulate)
        except AssertionError:
            return False
        return True

    assert not all(goes_well(number) for number in numbers), "no life went wrong without it"
