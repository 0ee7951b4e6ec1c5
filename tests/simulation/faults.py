"""Deliberate faults in the product's thin layer, each as a patch. What they take away, a simulation must miss."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from common.model import actions as act
from common.store.desired import DesiredState
from common.store.link import Link
from common.store.wakeups import WakeUps
from workers.node_run import Ending, NodeRun
from workers.reconcile import Reconciler
from workers.steps import Ports, branches
from workers.steps.table import STEPS

Fault = Callable[[pytest.MonkeyPatch], None]


class Through:
    """A port of which some methods are replaced."""

    def __init__(self, real: Any, **methods: Any) -> None:
        self._real = real
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._real, name)


def _step_with_kube(patch: pytest.MonkeyPatch, action: type, methods: Callable[[Any, Any], dict[str, Any]]) -> None:
    real = STEPS[action]

    def step(one: Any, ports: Ports) -> Any:
        blind: Any = Through(ports.kube, **methods(one, ports.kube))
        return real(one, replace(ports, kube=blind))

    patch.setitem(STEPS, action, step)


def mark_cleared_after_the_read(patch: pytest.MonkeyPatch) -> None:
    real, clear = NodeRun._read, WakeUps.clear_dirty

    def read(run: NodeRun) -> None:
        real(run)
        clear(run.shared.store.wakeups, run.node)

    patch.setattr(DesiredState, "look", DesiredState.read)
    patch.setattr(NodeRun, "_read", read)


def intents_saved_after_the_start(patch: pytest.MonkeyPatch) -> None:
    planned, saved = NodeRun._plan, NodeRun._save
    planning: set[str] = set()

    def plan(run: NodeRun) -> Any:
        planning.add(run.owner)
        try:
            made = planned(run)
        finally:
            planning.discard(run.owner)
        saved(run, made.ledger)
        return made

    def save(run: NodeRun, ledger: Any) -> None:
        if run.owner not in planning:
            saved(run, ledger)

    patch.setattr(NodeRun, "_plan", plan)
    patch.setattr(NodeRun, "_save", save)


def every_node_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(STEPS, act.ConfirmNodeGone, lambda *_: True)


def every_pod_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(STEPS, act.ConfirmGone, lambda *_: True)


def departed_without_a_look(patch: pytest.MonkeyPatch) -> None:
    _step_with_kube(patch, act.CleanDeparted, lambda *_: {"get_node": lambda _: None})


def cninode_deleted_without_a_look(patch: pytest.MonkeyPatch) -> None:
    _step_with_kube(patch, act.DeleteCniNode, lambda *_: {"get_node": lambda _: None})


def annotation_overwritten(patch: pytest.MonkeyPatch) -> None:
    def methods(_: Any, kube: Any) -> dict[str, Any]:
        def get_pod(namespace: str, name: str) -> Any:
            found = kube.get_pod(namespace, name)
            return found and msgspec.structs.replace(found, eni_annotation=None, ip_annotation=None)

        return {"get_pod": get_pod}

    _step_with_kube(patch, act.Annotate, methods)


def successor_taken_for_the_pod(patch: pytest.MonkeyPatch) -> None:
    def methods(action: Any, kube: Any) -> dict[str, Any]:
        def get_pod(namespace: str, name: str) -> Any:
            found = kube.get_pod(namespace, name)
            return found and msgspec.structs.replace(found, uid=action.pod_uid)

        def annotate_pod(namespace: str, name: str, _: str, *more: Any, **named: Any) -> None:
            found = kube.get_pod(namespace, name)
            kube.annotate_pod(namespace, name, found.uid if found else "", *more, **named)

        return {"get_pod": get_pod, "annotate_pod": annotate_pod}

    _step_with_kube(patch, act.Annotate, methods)


def sliced_run_not_published(patch: pytest.MonkeyPatch) -> None:
    real = Reconciler._leave

    def leave(self: Reconciler, run: NodeRun, ending: Ending) -> None:
        real(self, run, Ending.SETTLED if ending is Ending.SLICED else ending)

    patch.setattr(Reconciler, "_leave", leave)


def trunk_tag_not_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(branches, "TRUNK_TAG", "another-tag")


def delete_on_termination_not_set(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(STEPS, act.FinishTrunk, lambda *_: None)


def terms_not_compared(patch: pytest.MonkeyPatch) -> None:
    one, several = Link.fenced, Link.fenced_all

    def latest(link: Link, term_key: str, term: int) -> int:
        return max(term, int(link.command("GET", term_key) or 0))

    def fenced(self: Link, name: str, keys: Any, args: Any, term_key: str, term: int, *, after: str = "") -> Any:
        return one(self, name, keys, args, term_key, latest(self, term_key, term), after=after)

    def fenced_all(self: Link, scripts: Any, term_key: str, term: int) -> None:
        several(self, scripts, term_key, latest(self, term_key, term))

    patch.setattr(Link, "fenced", fenced)
    patch.setattr(Link, "fenced_all", fenced_all)
