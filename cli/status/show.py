"""The cluster as tables for people, from a terminal of 80 columns on. What asks for attention comes first."""

from collections.abc import Callable, Sequence
from operator import attrgetter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.status.alarms import leaders
from cli.status.ec2_limits import limits_table
from cli.status.fit import Column, cut, fitting, without_common_domain
from cli.status.summary import ClusterStatus, NodeStatus, WindowsPool

WAITING_SHOWN = 15
PROBLEMS_SHOWN = 15
WITH_NODES_WIDTH = 100
"""Narrower, EC2's codes need the room of the waiting pods' nodes."""
_TRUNK_STYLES = {"ready": "green", "unsupported": "red", "undoing": "red", "absent": "dim"}


def render(status: ClusterStatus, now: float, width: int, rows: int | None = None) -> RenderableType:
    """All of it. `now`: epoch seconds. `width`: columns of the terminal. `rows`: at most so many in each table (None:
    every node)."""
    parts: list[RenderableType] = [*summary(status)]
    if status.ec2_limits:
        parts += [Text(), limits_table(status.ec2_limits)]
    if any(node.waiting for node in status.nodes):
        parts += [Text(), waiting_table(status.nodes, now, width, rows)]
    if any(node.problem for node in status.nodes):
        parts += [Text(), problems_table(status.nodes, width, rows)]
    return Group(*parts, *nodes_tables(status.nodes, now, rows, width))


def summary(status: ClusterStatus) -> list[Text]:
    """Lines about the processes and the queues."""
    lead = leaders(status.watchers)
    depth = ", ".join(f"{name} {number}" for name, number in status.queues.items())
    return [
        Text(f"Watchers {len(status.watchers)}, leader {', '.join(lead) or 'unknown'}"),
        Text(f"Workers {len(status.workers)}; messages waiting: {depth}"),
        *(Text(alarm, "red") for alarm in status.alarms),
    ]


def nodes_tables(nodes: Sequence[NodeStatus], now: float, shown: int | None, width: int) -> list[RenderableType]:
    """A row each with the sums over all of them: nodes with trunks, and Windows nodes where there are any."""
    linux = [node for node in nodes if node.pool is None]
    windows = [node for node in nodes if node.pool is not None]
    tables: list[RenderableType] = []
    for some, kind, columns in (
        (linux, "Node", _branch_columns(linux, now)),
        (windows, "Windows node", _pool_columns(windows, now)),
    ):
        if some or (kind == "Node" and not windows):
            head = some[:shown]
            footer = f"{len(some)} in all" if len(head) == len(some) else f"{len(head)} of {len(some)}; sums of all"
            tables += [Text(), fitting(head, [str(node.node) for node in head], kind, footer, columns, width)]
    return tables


def waiting_table(nodes: Sequence[NodeStatus], now: float, width: int, rows: int | None = None) -> Table:
    """The pods that wait longest, and why."""
    waiting = sorted(((pod, node.node) for node in nodes for pod in node.waiting), key=lambda one: one[0].since)
    shown = waiting[: _at_most(WAITING_SHOWN, rows)]
    table = _titled(f"Pods that wait: {len(waiting)}", "Pod", "For")
    with_nodes = width >= WITH_NODES_WIDTH
    if with_nodes:
        table.add_column("Node", no_wrap=True)
    table.add_column("Why", overflow="fold")
    names = without_common_domain([node for _, node in shown])
    for (pod, _), name in zip(shown, names, strict=True):
        since = f"{max(0.0, now - pod.since):.0f} s" if pod.since else "?"
        where = [Text(cut(name, width // 5))] if with_nodes else []
        table.add_row(Text(cut(pod.pod, width * 2 // 5)), Text(since), *where, Text(pod.why))
    if len(waiting) > len(shown):
        table.add_row(f"... and {len(waiting) - len(shown)} more")
    return table


def problems_table(nodes: Sequence[NodeStatus], width: int, rows: int | None = None) -> Table:
    """The last failure of each node that has one."""
    failing = [node for node in nodes if node.problem]
    shown = failing[: _at_most(PROBLEMS_SHOWN, rows)]
    table = _titled(f"Nodes in trouble: {len(failing)}", "Node")
    table.add_column("Problem", overflow="fold", style="red")
    for node, name in zip(shown, without_common_domain([node.node for node in shown]), strict=True):
        table.add_row(Text(cut(name, width // 3)), Text(node.problem))
    if len(failing) > len(shown):
        table.add_row(f"... and {len(failing) - len(shown)} more")
    return table


def _at_most(number: int, rows: int | None) -> int:
    return number if rows is None else min(number, rows)


def _titled(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _branch_columns(nodes: Sequence[NodeStatus], now: float) -> list[Column[NodeStatus]]:
    ready = sum(node.trunk == "ready" for node in nodes)
    return [
        Column(
            "Trunk", lambda node: Text(node.trunk, _TRUNK_STYLES.get(node.trunk, "yellow")), f"{ready} ready", "left"
        ),
        _waiting(nodes),
        *(_sum(title, nodes, attrgetter(title.lower())) for title in ("Free", "Used", "Cooling", "Making", "Pods")),
        *_extras(now),
    ]


def _pool_columns(nodes: Sequence[NodeStatus], now: float) -> list[Column[NodeStatus]]:
    none = WindowsPool(used=0, warm=0, cooling=0, prefixes=0)

    def of_pool(name: str) -> Callable[[NodeStatus], int]:
        return lambda node: int(getattr(node.pool or none, name))

    titles = ("Used", "Warm", "Cooling", "Prefixes")
    return [
        _waiting(nodes),
        *(_sum(title, nodes, of_pool(title.lower())) for title in titles),
        _sum("Pods", nodes, attrgetter("pods")),
        *_extras(now),
    ]


def _trunk(node: NodeStatus) -> Text:
    return Text(node.trunk, _TRUNK_STYLES.get(node.trunk, "yellow"))


def _sum(title: str, nodes: Sequence[NodeStatus], number: Callable[[NodeStatus], int]) -> Column[NodeStatus]:
    return Column(title, lambda node: Text(str(number(node))), str(sum(map(number, nodes))))


def _waiting(nodes: Sequence[NodeStatus]) -> Column[NodeStatus]:
    number = sum(len(node.waiting) for node in nodes)
    return Column("Waiting", lambda node: Text(str(len(node.waiting)), "yellow" if node.waiting else ""), str(number))


def _extras(now: float) -> list[Column[NodeStatus]]:
    def audit(node: NodeStatus) -> Text:
        return Text(f"{max(0.0, node.next_audit - now):.0f} s" if node.next_audit else "")

    return [
        Column("Type", lambda node: Text(node.instance_type), justify="left", optional=True),
        Column("Audit in", audit, optional=True),
    ]
