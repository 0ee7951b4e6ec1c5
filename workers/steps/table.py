"""Which step carries out which action: each step says it itself, `@step(CreateBranch)`."""

from collections.abc import Callable
from typing import Any, TypeVar

from common.ec2.gate import Deferred
from common.model.actions import Action
from common.model.errors import OutsideError, StoreUnavailable, Unsure
from common.model.outcome import Done, Failed, Outcome, Waits
from workers.steps.ports import Ports

A = TypeVar("A", bound=Action)
R = TypeVar("R")

STEPS: dict[type, Callable[[Any, Ports], Any]] = {}
"""Complete when `workers.steps` is imported."""


def step(action: type[A]) -> Callable[[Callable[[A, Ports], R]], Callable[[A, Ports], R]]:
    """The function below carries out these actions. Raises ValueError where another does already."""

    def note(function: Callable[[A, Ports], R]) -> Callable[[A, Ports], R]:
        if action in STEPS:
            raise ValueError(f"{action.__name__} has two steps: {STEPS[action].__name__} and {function.__name__}")
        STEPS[action] = function
        return function

    return note


def carry_out(action: Action, ports: Ports) -> Outcome:
    """Make the action's calls. An error of the outside is an outcome; any other exception is a fault of ours and
    goes up."""
    try:
        return Done(value=STEPS[type(action)](action, ports))
    except Deferred as deferred:
        return Waits(until=deferred.until)
    except OutsideError as error:
        return Failed(error=error)
    except StoreUnavailable as error:
        return Failed(error=Unsure("StoreUnavailable", str(error)))
