"""What is printed for people: others' words in it say nothing to their terminal."""

import pytest
from rich.table import Table
from rich.text import Text

from cli.console import console, harmless

CLEARS, TITLE = "\x1b[2J\x1b[31m", "\x1b]0;owned\x07"


def test_a_name_that_speaks_to_the_terminal_is_printed_without_its_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table()
    table.add_column("pod")
    table.add_row(Text(f"web{CLEARS}"))
    out = console()
    out.print(table)
    out.print(Text(f"denied {TITLE}", "red"))
    out.print(f"plain {CLEARS}")
    printed = capsys.readouterr().out
    assert "web?[2J?[31m" in printed
    assert "denied ?]0;owned" in printed
    assert "\x1b[2J" not in printed
    assert "\x1b]" not in printed
    assert "\x1b[31mdenied" in printed  # Our own colour.


def test_what_is_harmless_stays() -> None:
    text = "ip-10-0-1-17 waits: Größe │ 5\n"
    assert harmless(text) == text
    assert harmless("a\rb\x9bc\x00") == "a?b?c?"
