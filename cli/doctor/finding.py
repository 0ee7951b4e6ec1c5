"""What a check found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from common.model.errors import ControllerError


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    """It is there, and not as it must be."""
    UNKNOWN = "not known"
    """It cannot be asked without doing it, or the answer does not say."""


BAD = frozenset({State.MISSING, State.WRONG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    area: str
    what: str
    state: State = State.OK
    advice: str = ""
    """What to do; "" where nothing is to be done."""
    where: str = ""
    """Where it was seen; "" where `area` and `what` say it."""


def first_line(error: Exception) -> str:
    """What an error says, to go on after with a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def guarded(area: str, what: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a check finds; one that is refused an answer, or gets none, says so and stops nothing else."""
    try:
        yield from check()
    except ControllerError as error:
        advice = f"{first_line(error)}. Run doctor as somebody who may read it"
        yield Finding(area=area, what=what, state=State.UNKNOWN, advice=advice)
