"""The demo's screen on a terminal."""

import io
import re

from rich.console import Console

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
