"""Lives that the generator found going wrong, cut short."""

import time

import pytest

from tests.simulation import happenings as it
from tests.simulation.explore import relive
from tests.simulation.shrink import Step
from watcher.kinds import Kind


def test_an_address_rests_though_redis_came_back_older_than_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.SweepComes(), 65.0),
        Step(it.PodComes("a", "w1"), 10.0),
        Step(it.RedisRestored(60.0), 10.0),
        Step(it.PodReplaced("a"), 10.0),
    ]
    _, wrong = relive(6, steps)
    assert wrong is None, wrong


def test_a_trunk_that_was_finished_since_the_copy_of_redis_keeps_its_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.SecondNode("w1-again", "n1"), 3.0, within=78, cut=157),
        Step(it.PodComes("a", "n1"), 3.0, within=50),
        Step(it.PodComes("b", "w1-again"), 3.0),
        Step(it.RedisRestored(5.0), 10.0),
    ]
    _, wrong = relive(30069, steps)
    assert wrong is None, wrong


def test_a_review_while_a_node_is_away_takes_nothing_from_its_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis was lost, an older view was written that lacks the pod, and the Node object goes and comes back."""
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.PodComes("a", "n2"), 3.0),
        Step(it.WorkersAway(120.0), 65.0),
        Step(it.RedisEmptied(), 0.2),
        Step(it.SaidGone("n2", nodes=False, seconds=75.0), 65.0, within=39),
        Step(it.PodComes("b", "w1"), 0.2),
        Step(it.NodeAway("n2", 20.0), 10.0),
    ]
    _, wrong = relive(30101, steps)
    assert wrong is None, wrong


def test_what_an_older_redis_forgot_is_not_its_pods_where_that_has_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis comes back from before an interface was made: its pod gets others, and this one rests."""
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.PodGoes("nobody"), 3.0),
        Step(it.PodComes("a", "n2"), 3.0, within=71, cut=139),
        Step(it.RedisEmptied(), 65.0),
        Step(it.PodComes("b", "n1", 2), 65.0),
        Step(it.SecondNode("n2-again", "n1"), 10.0),
        Step(it.WorkersAway(120.0), 3.0, within=64),
        Step(it.RedisRestored(60.0), 65.0, cut=111),
        Step(it.RedisRestored(1.0), 0.2, within=54),
        Step(it.PodComes("c", "n1", 2), 3.0),
        Step(it.PodComes("d", "n2-again", 2), 65.0),
    ]
    _, wrong = relive(40205, steps)
    assert wrong is None, wrong


def test_a_pod_gets_no_address_of_the_instance_before_though_the_watch_of_nodes_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", time.time)
    steps = [
        Step(it.PodComes("a", "w1"), 65.0),
        Step(it.WatchSilent(100.0, (Kind.NODES,)), 10.0),
        Step(it.InstanceReplaced("w1"), 3.0),
        Step(it.PodComes("b", "w1"), 1.0),
    ]
    _, wrong = relive(40388, steps)
    assert wrong is None, wrong
