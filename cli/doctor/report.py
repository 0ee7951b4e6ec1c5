"""Findings as text for people, from a terminal of 80 columns on, and as JSON. What is bad comes last: it is seen."""

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.doctor.finding import BAD, Finding, State
from common.masking import mask

_STYLES = {State.OK: "green", State.MISSING: "red", State.WRONG: "red", State.UNKNOWN: "yellow"}
_ORDER = (State.OK, State.UNKNOWN, State.MISSING, State.WRONG)
INDENT = 2


def render(findings: Sequence[Finding]) -> RenderableType:
    """Those that are fine in a row for each area, the others each with where it was seen and what to do."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    fine: dict[str, list[str]] = {}
    for finding in findings:
        if finding.state is State.OK:
            fine.setdefault(finding.area, []).append(mask(finding.what))
    for area, whats in fine.items():
        table.add_row(_state(State.OK), Text(area), Text("; ".join(whats)))
    for finding in sorted(findings, key=lambda one: _ORDER.index(one.state)):
        if finding.state is State.OK:
            continue
        lines: list[RenderableType] = [Text(mask(finding.what), "bold")]
        for text, style in ((finding.where and f"seen: {finding.where}", "dim"), (finding.advice, "")):
            if text:
                lines.append(Padding(Text(mask(text), style), (0, 0, 0, INDENT)))
        table.add_row(_state(finding.state), Text(finding.area), Group(*lines))
    return table


def _state(state: State) -> Text:
    return Text(str(state), _STYLES[state])


def as_json(findings: Sequence[Finding]) -> str:
    """One object: `ok`, and `findings` with area, what, state, where and advice."""
    rows = [
        {
            "area": one.area,
            "what": mask(one.what),
            "state": str(one.state),
            "where": mask(one.where),
            "advice": mask(one.advice),
        }
        for one in findings
    ]
    found = {"ok": not bad(findings), "findings": rows}
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def bad(findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if one.state in BAD]


def summary(findings: Sequence[Finding]) -> str:
    """One line about all findings."""
    unknown = sum(one.state is State.UNKNOWN for one in findings)
    rest = f"; {unknown} not known" if unknown else ""
    number = len(bad(findings))
    if not number:
        return f"Nothing is missing or wrong{rest}."
    return f"{number} {'thing is' if number == 1 else 'things are'} missing or wrong{rest}."
