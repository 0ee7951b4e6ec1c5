"""`vpc-rc status` on terminals of every width: nothing of use is cut."""

import io
import re
from functools import partial

import pytest
from rich.console import Console

from cli.status.alarms import Member
from cli.status.choose import by_numbers
from cli.status.fit import ELLIPSIS, as_tall_as, cut
from cli.status.show import render
from cli.status.summary import ClusterStatus, NodeStatus, WaitingPod, WindowsPool
from common.model.ids import NodeName

NOW = 10_000.0
WIDTHS = (80, 100, 160)


def node(number: int, **more: object) -> NodeStatus:
    values: dict[str, object] = {
        "node": NodeName(f"ip-10-0-{number}-17.us-west-2.compute.internal"),
        "instance_type": "m6idn.24xlarge",
        "trunk": "unsupported" if number == 3 else "ready",
        "trunk_id": "eni-0123456789abcdef0",
        "making": 1011,
        "used": 2022,
        "cooling": 3033,
        "free": 4044,
        "pool": None,
        "pods": 5055,
        "waiting": (),
        "problem": "",
        "next_audit": NOW + 899,
    }
    return NodeStatus(**(values | more))  # type: ignore[arg-type]


def status() -> ClusterStatus:
    waiting = WaitingPod(
        pod="a-namespace-with-a-name/a-deployment-with-a-long-name-5d4f8c7b9d-x2x4z",
        since=NOW - 123,
        why="InsufficientFreeAddressesInSubnet, 17 times",
    )
    return ClusterStatus(
        nodes=(
            node(1),
            node(2, waiting=(waiting,)),
            node(3, problem="trunk: UnauthorizedOperation, 12 times"),
            node(4, pool=WindowsPool(used=7117, warm=7227, cooling=7337, prefixes=7447), trunk="absent"),
        ),
        queues={"nodes": 12, "maintenance": 1},
        workers={"vpc-rc-1": Member()},
        watchers={"vpc-rc-watcher-7c9d8f6b5-abcde_1_0a1b2c3d": Member(leader=True)},
        complete=True,
        config={},
    )


def shown(width: int) -> list[str]:
    out = io.StringIO()
    Console(width=width, file=out).print(render(status(), NOW, width))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_is_whole_at_every_width(width: int) -> None:
    lines = shown(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for number in ("1011", "2022", "3033", "4044", "5055", "7117", "7227", "7337", "7447"):
        assert re.search(rf"(?<!\d){number}(?!\d)", text), number
    for words in ("unsupported", "123 s", "Pods that wait: 1", "Nodes in trouble: 1", "nodes 12, maintenance 1"):
        assert words in text, words


@pytest.mark.parametrize("width", WIDTHS)
def test_every_node_can_be_distinguished_from_the_others(width: int) -> None:
    rows = [line for line in shown(width) if "2022" in line]
    assert [row.split()[0].partition(".")[0] for row in rows] == [f"ip-10-0-{number}-17" for number in (1, 2, 3)]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_row_is_one_line(width: int) -> None:
    lines = shown(width)
    first = next(number for number, line in enumerate(lines) if "2022" in line)
    assert all("2022" in line for line in lines[first : first + 3])


@pytest.mark.parametrize("width", WIDTHS)
def test_why_pods_wait_and_nodes_fail_is_said_in_full_and_first(width: int) -> None:
    lines = shown(width)
    table = next(number for number, line in enumerate(lines) if "2022" in line)
    for words in ("InsufficientFreeAddressesInSubnet", "UnauthorizedOperation, 12 times"):
        assert next(number for number, line in enumerate(lines) if words in line) < table


def test_a_name_is_cut_in_its_middle() -> None:
    assert cut("gke-pool-1a2b3c4d-x9z1", 12) == "gke-po…-x9z1"
    assert cut("short", 12) == "short"
    assert len(cut("n" * 63, 12)) == 12


SUMS = tuple(str(39 * number) for number in (1011, 2022, 3033, 4044, 5055))


def busy() -> ClusterStatus:
    """More of everything than a screen has lines."""
    pods = [
        WaitingPod(pod=f"shop/cart-{number}", since=NOW - 60, why="InsufficientFreeAddressesInSubnet")
        for number in range(40)
    ]
    linux = [node(n, waiting=tuple(pods) if n == 1 else (), problem="trunk: InternalError") for n in range(1, 40)]
    windows = [
        node(n, pool=WindowsPool(used=7117, warm=7227, cooling=7337, prefixes=7447), trunk="absent")
        for n in range(40, 80)
    ]
    return ClusterStatus(
        nodes=(*linux, *windows), queues={"nodes": 12}, workers={}, watchers={}, complete=True, config={}
    )


@pytest.mark.parametrize("height", [40, 50, 60, 100])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_screen_that_is_watched_shows_each_table_down_to_its_sums(width: int, height: int) -> None:
    console = Console(width=width, height=height, file=io.StringIO())
    fitted = as_tall_as(console, height, partial(render, busy(), NOW, width))
    lines = ["".join(segment.text for segment in line).rstrip() for line in console.render_lines(fitted)]
    assert height - 8 <= len(lines) <= height
    text = "\n".join(lines)
    assert ELLIPSIS not in text
    for words in ("Pods that wait: 40", "Nodes in trouble: 39", " of 39", " of 40", *SUMS):
        assert words in text, words
    hidden = re.search(r"and (\d+) more", text)
    assert hidden is not None
    assert text.count("shop/cart-") + int(hidden[1]) == 40


def test_a_screen_of_few_lines_gets_one_row_of_each_table() -> None:
    console = Console(width=80, height=10, file=io.StringIO())
    assert as_tall_as(console, 10, lambda rows: f"{rows} rows\n" * 20) == "1 rows\n" * 20


def test_names_are_sorted_by_the_numbers_in_them() -> None:
    names = ["ip-10-0-0-10", "ip-10-0-0-9", "ip-10-0-0-9.a", "9", "n"]
    assert sorted(names, key=by_numbers) == ["9", "ip-10-0-0-9", "ip-10-0-0-9.a", "ip-10-0-0-10", "n"]
