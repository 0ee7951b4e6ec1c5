"""The enumeration is worth what it finds: with fencing, client tokens or intent-before-call taken away it fails."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from common.model.ids import NodeName
from common.model.ledger import Ledger
from common.store import keys
from common.store.ledger import Ledgers
from common.store.lock import NodeLock
from sandbox.ec2.world import Ec2World
from tests.simulation import lives
from tests.simulation.cluster import Cluster
from tests.simulation.crashes import CrashPoints
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
