"""`python -m benchmarks.trace_picture FILE.svg`: the trace of one pod, for docs/operations.md.

Real processes on the sandbox's servers, with EC2's usual latencies. EC2 refuses one call because of its limits, so that
the picture has a wait. What a collector shows of a pod's trace, drawn in the same order.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from common.clock import SystemClock
from common.trace_ids import pod_root
from tests.integration.rig import running
from tests.kit.collector import Collector, Span, collecting

WIDTH, ROW, LABEL, MARGIN = 900, 20, 330, 12
COLOURS = (("EC2.", "#d08020"), ("wait", "#999999"), ("reconcile run", "#7aa6d8"), ("pod", "#2c5f9e"))
STEP, REFUSED = "#4d9a62", "#cc2222"
SETTLED_SECONDS = 3.0
"""After it the node's runs have ended: the pod has one of its own."""


def trace(collector: Collector) -> list[Span]:
    """Of a pod that waited for EC2's limits once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), VPC_RC_TRACING_ENDPOINT=collector.url) as (rig, _),
    ):
        rig.add_node("n1")
        rig.wait("the trunk is ready", lambda: rig.capacity("n1") is not None)
        SystemClock().sleep(SETTLED_SECONDS)
        rig.behave(faults=[{"action": "AssociateTrunkInterface", "code": "RequestLimitExceeded", "count": 1}])
        rig.add_pod("shop-7d4b", "n1")
        rig.wait_for_none("the pod is served", rig.unserved)
        found = f"{pod_root(rig.pod('shop-7d4b')['metadata']['uid']).trace:032x}"
        rig.wait("its trace is whole", lambda: "pod" in {one.name for one in collector.of(found)})
        return collector.of(found)


def rows(spans: Sequence[Span], parent: str = "", depth: int = 0) -> list[tuple[int, Span]]:
    """Each span with how far it is indented: below its parent, the earliest first."""
    found = []
    for span in sorted((one for one in spans if one.parent == parent), key=lambda one: (one.began, -one.ended)):
        found += [(depth, span), *rows(spans, span.span, depth + 1)]
    return found


def colour(span: Span) -> str:
    if span.error:
        return REFUSED
    return next((colour for start, colour in COLOURS if span.name.startswith(start)), STEP)


def draw(spans: Sequence[Span]) -> str:
    """A row for each span that hangs together with the first one, as SVG."""
    shown = rows(spans)
    began = min(span.began for _, span in shown)
    whole = max(span.ended for _, span in shown) - began or 1.0
    height = 2 * MARGIN + ROW * (len(shown) + 1)

    def x(at: float) -> float:
        return LABEL + (WIDTH - LABEL - 70 - MARGIN) * (at - began) / whole

    lines = []
    for number, (depth, span) in enumerate(shown, start=1):
        y = MARGIN + ROW * number
        left, right = x(span.began), max(x(span.ended), x(span.began) + 1)
        said = f"{escape(span.error)} {1000 * (span.ended - span.began):.0f} ms".strip()
        lines.append(
            f'<text x="{MARGIN + 14 * depth}" y="{y + 14}">{escape(span.name)}</text>'
            f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="12" fill="{colour(span)}"/>'
            f'<text x="{right + 4:.1f}" y="{y + 14}" fill="#555">{said}</text>'
        )
    first = shown[0][1].attributes
    title = f"{first['k8s.namespace.name']}/{first['k8s.pod.name']} on {first['k8s.node.name']}: {whole:.2f} s"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-weight="bold">{escape(title)}</text>'
        + "\n".join(lines)
        + "</svg>\n"
    )


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with collecting() as collector:
        Path(sys.argv[1]).write_text(draw(trace(collector)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
