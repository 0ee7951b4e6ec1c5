"""The picture of a trace: a row for each span, below its parent."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.trace_picture import draw, rows
from tests.kit.collector import Span

KEPT = Path(__file__).parents[3] / "docs" / "images" / "pod-trace.svg"
LARGEST_BYTES = 30 * 1024
SVG = "{http://www.w3.org/2000/svg}"


def span(name: str, parent: str = "", began: float = 0.0, ended: float = 1.0, **more: Any) -> Span:
    attributes = {"k8s.pod.name": "p<1>", "k8s.namespace.name": "d", "k8s.node.name": "n"}
    given = {"links": (), "error": "", "service": "vpc-rc-worker", "attributes": attributes, **more}
    return Span(name=name, trace="t", span=name, parent=parent, began=began, ended=ended, **given)


POD = span("pod", ended=4.0)
RUN = span("reconcile run", "pod", 1.0, 4.0)
CALL = span("EC2.X", "reconcile run", 2.0, 3.0, error="Refused & said so")
WRITE = span("write", "pod", 0.0, 0.0)


def test_spans_are_below_their_parents_the_earliest_first() -> None:
    assert rows([CALL, RUN, WRITE, POD]) == [(0, POD), (1, WRITE), (1, RUN), (2, CALL)]


def test_the_picture_has_a_bar_and_two_texts_for_each_span() -> None:
    drawn = ElementTree.fromstring(draw([CALL, RUN, WRITE, POD]))
    texts = [one.text for one in drawn.iter(f"{SVG}text")]
    assert texts[0] == "d/p<1> on n: 4.00 s"
    assert texts[1:] == [
        "pod", "4000 ms", "write", "0 ms", "reconcile run", "3000 ms", "EC2.X", "Refused & said so 1000 ms"
    ]  # fmt: skip
    bars = [one for one in drawn.iter(f"{SVG}rect") if one.get("x")]
    widths = [float(one.get("width", "")) for one in bars]
    assert widths[0] == max(widths)
    assert widths[1] == 1.0, "what lasts no time is seen"


def test_the_picture_that_is_kept_is_small_and_shows_the_whole_way() -> None:
    assert KEPT.stat().st_size < LARGEST_BYTES
    texts = {one.text for one in ElementTree.parse(KEPT).iter(f"{SVG}text")}
    assert texts >= {"pod", "write desired state and announce", "wait in the queue", "reconcile run", "Annotate"}
    assert "wait for EC2's limits" in texts
