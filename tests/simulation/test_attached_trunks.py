"""A trunk that EC2 shows attached and complete is not undone, whatever an older record says of its making."""

from collections.abc import Callable

from common.model.actions import UndoTrunk
from common.model.errors import Conflict
from common.model.ids import EniId, InstanceId
from common.model.names import TRUNK_DESCRIPTION
from common.model.outcome import Failed
from common.model.warrant import Warrant
from common.rules.release_gate import Evidence, warrant
from tests.simulation.cluster import Cluster
from tests.simulation.lives import served
from workers.steps import carry_out


def test_a_trunk_with_pods_stays_when_an_older_record_undoes_it(simulate: Callable[..., Cluster]) -> None:
    cluster = simulate()
    instance = cluster.add_node("n1")
    cluster.add_pod("a", "n1")
    served(cluster)
    (trunk,) = cluster.ours(TRUNK_DESCRIPTION)
    eni = EniId(trunk["NetworkInterfaceId"])
    leave = warrant(Evidence(eni_id=eni, complete=True, claimed=False, made=True, owner=None), cluster.clock.now())
    assert isinstance(leave, Warrant)
    undo = UndoTrunk(subject="trunk", eni_id=eni, instance_id=InstanceId(instance), warrant=leave)
    outcome = carry_out(undo, cluster.worker.ports)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Conflict)
    (after,) = cluster.ours(TRUNK_DESCRIPTION)
    assert after["Attachment"]["Status"] == "attached"
    assert not cluster.problems, cluster.problems
