"""A life as a list of steps: it can be lived again without its generator, and made shorter while it still fails."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.simulation.cluster import Cluster
from tests.simulation.coverage import states
from tests.simulation.happenings import Happening, happen

MOST_TRIES = 400
"""Lives that one shrinking may live."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something happens, now, or before the worker's outside call `within` calls from now, or before the first at which
    some subject is in the state `when` (coverage.STATES); the worker may be killed at the place `cut` places from now
    (each call has two); then time passes."""

    happening: Happening
    pause: float
    within: int | None = None
    cut: int | None = None
    when: str | None = None


def take(cluster: Cluster, step: Step) -> None:
    made = len(cluster.points.calls)
    points, state = cluster.points, step.when
    if step.within is None and state is None:
        happen(cluster, step.happening)
    else:
        points.meanwhile = lambda: happen(cluster, step.happening)
        points.pause_before = None if step.within is None else made + step.within
        points.when = None if state is None else lambda: state in states(cluster)
    if step.cut is not None:
        points.cut = frozenset({2 * made + step.cut})
    cluster.run(step.pause)


def sort_of(wrong: str) -> str:
    """What went wrong without names and numbers, so that a shorter life fails for the same reason."""
    return re.sub(r"\S*\d\S*|\[.*", "", wrong.splitlines()[0]).strip()


def _no_moment(step: Step) -> Step:
    return replace(step, within=None)


def _no_cut(step: Step) -> Step:
    return replace(step, cut=None)


def _no_state(step: Step) -> Step:
    return replace(step, when=None)


def shrink(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """The shortest list found that still fails: parts are left out, smaller ones each time, then steps made simpler."""
    left = list(steps)
    tries = MOST_TRIES

    def still(shorter: Sequence[Step]) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and fails(shorter)

    size = max(1, len(left) // 2)
    while tries > 0:
        at, before = 0, len(left)
        while at < len(left):
            shorter = left[:at] + left[at + size :]
            if still(shorter):
                left = shorter
            else:
                at += size
        if size == 1 and len(left) == before:
            break
        size = max(1, size // 2)
    for index in range(len(left)):
        for leave_out in (_no_moment, _no_cut, _no_state):
            one = left[index]
            step = leave_out(one)
            if step != one and still([*left[:index], step, *left[index + 1 :]]):
                left[index] = step
    return left


def _places(step: Step) -> str:
    given = (("within", step.within), ("cut", step.cut), ("when", step.when))
    return "".join(f", {name}={value!r}" for name, value in given if value is not None)


def as_test(seed: int, steps: Sequence[Step]) -> str:
    """A test's text. It goes into a file with `it`, `Kind`, `Step` and `relive` imported."""
    lines = [f"        Step(it.{step.happening!r}, {step.pause}{_places(step)})," for step in steps]
    body = re.sub(r"<(Kind\.\w+): [^>]*>", r"\1", "\n".join(lines))
    return (
        f"def test_seed_{seed}() -> None:\n    steps = [\n{body}\n    ]\n"
        f"    _, wrong = relive({seed}, steps)\n    assert wrong is None, wrong\n"
    )
