"""The demo's screen on a terminal."""

import io
import re
from pathlib import Path

from rich.console import Console

from cli.demo.command import how_to_look
from cli.demo.screen import Picture, Tables
from common.clock import SystemClock


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
