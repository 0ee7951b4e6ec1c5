"""The glance as tables for people."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.status.glance import Glance, NodeGlance

WAITING_SHOWN = 15
_TRUNK_STYLES = {"ready": "green", "unsupported": "red", "undoing": "red", "absent": "dim"}


def render(glance: Glance, now: float, nodes_shown: int | None = None) -> RenderableType:
    """All of it. `now`: epoch seconds. `nodes_shown`: the first so many nodes (None: every one)."""
    parts: list[RenderableType] = [*summary(glance, now), nodes_table(glance.nodes, now, nodes_shown)]
    if any(node.waiting for node in glance.nodes):
        parts.append(waiting_table(glance.nodes, now))
    return Group(*parts)


def summary(glance: Glance, now: float) -> list[Text]:
    """Lines about the processes and the queues."""
    leaders = [name for name, about in glance.watchers.items() if about.get("leader") == "true"]
    depth = ", ".join(f"{name} {number}" for name, number in glance.queues.items())
    lines = [
        Text(f"Watchers {len(glance.watchers)}, leader {leaders[0] if leaders else 'unknown'}"),
        Text(f"Workers {len(glance.workers)}; messages waiting: {depth}"),
    ]
    if not glance.watchers:
        lines[0].stylize("red")
    if not glance.workers:
        lines[1].stylize("red")
    if not glance.complete:
        lines.append(Text("The watcher has not written a full list yet: nothing is released until then.", "yellow"))
    return lines


def nodes_table(nodes: tuple[NodeGlance, ...], now: float, shown: int | None) -> Table:
    """One row a node, and the sums over all of them."""
    windows = any(node.pool for node in nodes)
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    sums = {name: sum(getattr(node, name) for node in nodes) for name in ("making", "used", "cooling", "free", "pods")}
    ready = sum(node.trunk == "ready" for node in nodes)
    table.add_column("Node", footer=f"{len(nodes)} nodes", no_wrap=True, min_width=12)
    table.add_column("Type", no_wrap=True)
    table.add_column("Trunk", footer=f"{ready} ready", no_wrap=True)
    for title, name in (("Making", "making"), ("Used", "used"), ("Cooling", "cooling"), ("Free", "free")):
        table.add_column(title, footer=str(sums[name]), justify="right")
    if windows:
        table.add_column("Windows addresses")
    table.add_column("Pods", footer=str(sums["pods"]), justify="right")
    table.add_column("Waiting", footer=str(sum(len(node.waiting) for node in nodes)), justify="right")
    table.add_column("Audit in", justify="right")
    table.add_column("Problem", overflow="fold")
    for node in nodes[:shown]:
        table.add_row(*_row(node, now, windows=windows))
    if shown is not None and len(nodes) > shown:
        table.add_row(f"... and {len(nodes) - shown} more")
    return table


def _row(node: NodeGlance, now: float, *, windows: bool) -> list[RenderableType]:
    row: list[RenderableType] = [
        Text(node.node),
        Text(node.instance_type),
        Text(node.trunk, _TRUNK_STYLES.get(node.trunk, "yellow")),
        *(Text(str(number)) for number in (node.making, node.used, node.cooling, node.free)),
    ]
    if windows:
        pool = node.pool
        known = f"{pool.used} used, {pool.warm} warm, {pool.cooling} cooling" if pool else ""
        row.append(Text(known + (f", {pool.prefixes} prefixes" if pool and pool.prefixes else "")))
    waiting = Text(str(len(node.waiting)), "yellow" if node.waiting else "")
    audit = f"{max(0.0, node.next_audit - now):.0f} s" if node.next_audit else ""
    return [*row, Text(str(node.pods)), waiting, Text(audit), Text(node.problem, "red")]


def waiting_table(nodes: tuple[NodeGlance, ...], now: float) -> Table:
    """The pods that wait longest, and why."""
    waiting = sorted(((pod, node.node) for node in nodes for pod in node.waiting), key=lambda one: one[0].since)
    table = Table(title=f"Pods that wait: {len(waiting)}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("Pod", "Node", "For", "Why"):
        table.add_column(title, overflow="fold")
    for pod, node in waiting[:WAITING_SHOWN]:
        since = f"{max(0.0, now - pod.since):.0f} s" if pod.since else "?"
        table.add_row(Text(pod.pod), Text(node), Text(since), Text(pod.why))
    if len(waiting) > WAITING_SHOWN:
        table.add_row(f"... and {len(waiting) - WAITING_SHOWN} more")
    return table
