"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "not known"
    """It cannot be asked without doing it, or whoever is asked does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    area: str
    what: str
    state: State = State.OK
    advice: str = ""
    """What to do; "" where nothing is to be done."""


def first_line(error: Exception) -> str:
    """What an error says, to go on after with a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
