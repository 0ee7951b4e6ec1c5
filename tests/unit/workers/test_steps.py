"""Every action has its terms, and one step."""

from typing import get_args

import pytest

from common.model.actions import Action, CreateBranch
from workers.steps import Ports
from workers.steps.table import STEPS, step


def test_every_action_has_a_step() -> None:
    assert set(STEPS) == set(get_args(Action))


def test_every_action_states_its_terms() -> None:
    assert [kind for kind in get_args(Action) if "terms" not in vars(kind)] == []


def test_an_action_has_one_step_only() -> None:
    before = STEPS[CreateBranch]

    def another(_action: CreateBranch, _ports: Ports) -> None:
        raise NotImplementedError

    with pytest.raises(ValueError, match="CreateBranch has two steps: create_branch and another"):
        step(CreateBranch)(another)
    assert STEPS[CreateBranch] is before
