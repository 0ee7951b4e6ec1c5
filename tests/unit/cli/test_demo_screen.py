"""The demo's screen on a terminal."""

import io
import re
from pathlib import Path
from typing import Self, cast

import pytest
from rich.console import Console

from cli.demo.command import how_to_look
from cli.demo.plan import Plan
from cli.demo.run import Demo
from cli.demo.screen import Picture, Tables
from cli.demo.stage import Stage
from cli.status.summary import ClusterStatus, NodeStatus, WindowsPool
from common.clock import SystemClock
from common.model.ids import NodeName


def test_what_was_printed_between_two_times_on_the_screen_stays() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24)
    screen = Tables(console, SystemClock())
    with screen:
        screen.show(Picture(pods=3, served=1))
    console.print("instructions")
    after = out.tell()
    with screen:
        screen.show(Picture(pods=3, served=3))
        again = out.getvalue()[after:]
    up = re.search(r"\x1b\[\d*A", again.partition("served 3")[0])
    assert up is None, "the lines above the new picture are erased"


def test_a_held_demo_says_where_the_logs_are_and_how_to_start_the_program() -> None:
    lines = how_to_look({"VPC_RC_CLUSTER_NAME": "demo"}, ".venv/bin/vpc-rc", 5555, Path("/tmp/logs")).splitlines()
    assert "/tmp/logs" in lines[0]
    assert "export VPC_RC_CLUSTER_NAME=demo" in lines
    assert ".venv/bin/vpc-rc status --watch" in lines
    assert "Flower: http://127.0.0.1:5555" in lines


class Held(Exception):
    pass


class Noted:
    """A screen that ends with the first picture."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def begin(self, phase: str) -> None:
        self.phases.append(phase)

    def show(self, picture: Picture) -> None:
        raise Held

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class Still:
    """A stage on which nothing changes any more."""

    def look(self) -> None:
        return

    def picture(self) -> Picture:
        return Picture()


def test_a_held_demo_no_longer_says_what_was_true_at_its_end() -> None:
    screen = Noted()
    plan = Plan(
        nodes=1, pods=1, rest=0, instance_type="", workers=1, cooldown=30, ec2_factor=1, folder=Path()
    )  # fmt: skip
    with pytest.raises(Held):
        Demo(plan, cast("Stage", Still()), screen, SystemClock()).hold()
    assert screen.phases == ["Held: everything keeps running until Ctrl-C"]


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("height", [24, 40])
def test_the_panel_is_closed_on_every_terminal(width: int, height: int) -> None:
    nodes = tuple(
        NodeStatus(
            node=NodeName(f"ip-10-0-{number}-17.us-west-2.compute.internal"), instance_type="m5.xlarge", trunk="ready",
            trunk_id="eni-1", making=0, used=18, cooling=0, free=0, pods=18, waiting=(), problem="", next_audit=0.0,
            pool=WindowsPool(used=3, warm=3, cooling=0, prefixes=0) if number > 30 else None,
        )
        for number in range(60)
    )  # fmt: skip
    status = ClusterStatus(nodes=nodes, queues={"nodes": 1}, workers={}, watchers={}, complete=True, config={})
    out = io.StringIO()
    with Tables(Console(file=out, force_terminal=True, width=width, height=height), SystemClock()) as screen:
        screen.show(Picture(status=status, pods=900, served=450))
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    drawn = text.strip().splitlines()
    assert (drawn[0][0], drawn[-1][0]) == ("╭", "╰")
    assert len(drawn) <= height
    assert sum(" of 31" in line or " of 29" in line for line in drawn) == 2
