"""One node or one pod as text, from a terminal of 80 columns on."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.status.detail import AddressRow, BranchRow, NodeDetail, PodDetail, StepRow
from cli.status.fit import Column, fitting

NO_POD = "(no pod)"


def render_node(detail: NodeDetail, now: float, width: int) -> RenderableType:
    """`now`: epoch seconds. `width`: columns of the terminal."""
    one = detail.summary
    numbers = f"used {one.used}, cooling {one.cooling}, in the making {one.making}, free {one.free}"
    if one.idle:
        numbers += f" ({one.idle} of them idle)"
    if one.pool is not None:
        numbers = f"used {one.pool.used}, warm {one.pool.warm}, cooling {one.pool.cooling}"
        numbers += f", prefixes {one.pool.prefixes}"
    facts = {
        "Node": one.node,
        "Instance": " ".join(filter(None, (detail.instance, one.instance_type, detail.subnet))),
        "Trunk": " ".join(filter(None, (one.trunk, one.trunk_id, detail.trunk_subnet, *detail.trunk_groups))),
        "Branches" if one.pool is None else "Addresses": numbers,
        "Pods": f"{one.pods}, waiting {len(one.waiting)}",
        "Problem": one.problem,
        "Next audit": f"in {max(0.0, one.next_audit - now):.0f} s" if one.next_audit else "",
    }
    parts: list[RenderableType] = [_facts(facts)]
    if one.waiting:
        parts += [Text(), Text("Pods that wait", "bold")]
        parts += [Padding(Text(f"{pod.pod}: {pod.why}"), (0, 0, 0, 2)) for pod in one.waiting]
    return Group(*parts, *_tables(detail.branches, detail.addresses, detail.steps, now, width))


def render_pod(detail: PodDetail, now: float, width: int) -> RenderableType:
    """`now`: epoch seconds. `width`: columns of the terminal."""
    asks = []
    if detail.asks_branches:
        asks.append(f"{detail.asks_branches} branch interface{'s' if detail.asks_branches > 1 else ''}")
    if detail.asks_addresses:
        asks.append("an address")
    state = "is gone" if not detail.uid else "has ended" if detail.finished else ""
    if not state:
        state = "has what it asks for" if not detail.why else f"waits: {detail.why}"
    facts = {
        "Pod": f"{detail.pod} {detail.uid}".strip(),
        "Node": detail.node,
        "Asks for": " and ".join(asks) or "nothing",
        "State": state + (", is being deleted" if detail.deleting else ""),
        "Scheduled": f"{max(0.0, now - detail.scheduled_at):.0f} s ago" if detail.scheduled_at else "",
        "Groups": " ".join(detail.groups) + ("" if detail.matched or not detail.groups else " (the node's: no policy)"),
    }
    return Group(_facts(facts), *_tables(detail.branches, detail.addresses, detail.steps, now, width))


def _facts(facts: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _tables(
    branches: Sequence[BranchRow], addresses: Sequence[AddressRow], steps: Sequence[StepRow], now: float, width: int
) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if branches:
        names, footer = [row.pod or NO_POD for row in branches], f"{len(branches)} in all"
        parts += [Text(), fitting(branches, names, "Branch of pod", footer, _branch_columns(now), width)]
    if addresses:
        names, footer = [row.pod or NO_POD for row in addresses], f"{len(addresses)} in all"
        parts += [Text(), fitting(addresses, names, "Address of pod", footer, _address_columns(now), width)]
    if steps:
        parts += [Text(), Text("Steps that failed or wait for their turn", "bold")]
        for step in steps:
            again = f", {step.attempts} times" if step.attempts > 1 else ""
            words = "in the queue of the EC2 limits" if step.in_queue else f"{step.code}{again}: {step.message}"
            subject = f"{step.subject.partition('/')[0]} of {step.pod}" if step.pod else step.subject
            text = f"{subject}: {words}; next in {max(0.0, step.next_at - now):.0f} s"
            parts.append(Padding(Text(text, "" if step.in_queue else "red"), (0, 0, 0, 2)))
    return parts


def _for(since: float, now: float) -> Text:
    return Text(f"{max(0.0, now - since):.0f} s" if since else "")


def _branch_columns(now: float) -> list[Column[BranchRow]]:
    return [
        Column("State", lambda row: Text(row.state), justify="left"),
        Column("VLAN", lambda row: Text(str(row.vlan))),
        Column("Interface", lambda row: Text(row.interface), justify="left"),
        Column("Address", lambda row: Text(row.address), justify="left", optional=True),
        Column("For", lambda row: _for(row.since, now), optional=True),
        Column("Groups", lambda row: Text(" ".join(row.groups)), justify="left", optional=True),
    ]


def _address_columns(now: float) -> list[Column[AddressRow]]:
    return [
        Column("State", lambda row: Text(row.state), justify="left"),
        Column("Address", lambda row: Text(row.address), justify="left"),
        Column("For", lambda row: _for(row.since, now)),
        Column("Prefix", lambda row: Text(row.prefix), justify="left", optional=True),
    ]
