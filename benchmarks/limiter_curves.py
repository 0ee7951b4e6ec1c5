"""`python -m benchmarks.limiter_curves FOLDER`: how the rate limiter finds EC2's limits, as plots for its ADR.

The limiter's own scripts against a model of EC2's buckets, in simulated time: the same figures on every machine.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common.settings import DEFAULT_EC2_RATES, RateLimit
from tests.unit.store.rate_model import CREATE, VirtualTime, World, at_once, scaled

TABLE = {CREATE: DEFAULT_EC2_RATES[CREATE]}
WIDTH, HEIGHT, MARGIN = 640, 240, 40
STEP = 0.5
"""Seconds from point to point."""
Curve = Sequence[tuple[float, float]]


def changed(world: World) -> None:
    world.change(30, scaled(TABLE, 5))


def shared(world: World) -> None:
    world.other_client(CREATE, 2.5, 40, 100)


PLOTS: dict[str, tuple[str, int, float, dict[str, RateLimit], Callable[[World], None]]] = {
    "default": ("EC2 as in the table: 100 at once, 5 a second", 500, 0.01, TABLE, lambda _: None),
    "tenfold": ("EC2 grants ten times the table", 2000, 0.005, scaled(TABLE, 10), lambda _: None),
    "half": ("EC2 grants half of the table", 300, 0.01, scaled(TABLE, 0.5), lambda _: None),
    "shared": ("Another client uses half from 40 s to 100 s", 600, 0.01, TABLE, shared),
    "raised": ("EC2's limits rise fivefold at 30 s", 1200, 0.01, TABLE, changed),
}
"""By file: title, calls, seconds between their arrivals, EC2's limits at first, and what happens."""


def draw(title: str, admitted: Curve, allowed: Curve, refused: Sequence[float]) -> str:
    """Calls let through, what EC2's bucket allowed at most, and a mark for each refusal, as SVG."""
    longest = max(at for at, _ in admitted) or 1
    most = max(calls for _, calls in (*admitted, *allowed)) or 1

    def x(at: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * at / longest

    def y(calls: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * calls / most

    def line(curve: Curve, style: str) -> str:
        points = " ".join(f"{x(at):.1f},{y(calls):.1f}" for at, calls in curve)
        return f'<polyline points="{points}" fill="none" {style}/>'

    marks = "".join(
        f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{HEIGHT - MARGIN}" y2="{HEIGHT - MARGIN + 8}" stroke="#c00"/>'
        for at in refused
        if at <= longest
    )
    words = (
        f'<text x="{MARGIN}" y="22">{title}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end">{longest:.0f} s</text>'
        f'<text x="{MARGIN - 4}" y="{MARGIN + 4}" text-anchor="end">{most:.0f}</text>'
        f'<text x="{MARGIN}" y="{HEIGHT - 8}">refused: {len(refused)} of {len(refused) + admitted[-1][1]:.0f} (red); '
        "dashed: all that EC2 allows</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<path d="M{MARGIN},{MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="#888"/>'
        + line(allowed, 'stroke="#888" stroke-dasharray="4 3"')
        + line(admitted, 'stroke="#06c" stroke-width="2"')
        + marks
        + words
        + "</svg>\n"
    )


def plot(name: str) -> str:
    title, calls, apart, limits, happens = PLOTS[name]
    clock = VirtualTime()
    world = World(clock, limits, believed=TABLE)
    happens(world)
    world.add(at_once(calls, apart), [CREATE])
    result = world.run()
    let_through = sorted(call.at for call in result.calls if call.admitted)
    refused = [call.at for call in result.calls if not call.admitted]
    times = [STEP * step for step in range(int(let_through[-1] / STEP) + 2)]
    admitted = [(at, float(sum(one <= at for one in let_through))) for at in times]
    return draw(title, admitted, [(at, allowed_until(name, at, calls)) for at in times], refused)


def allowed_until(name: str, at: float, calls: int) -> float:
    """What EC2's bucket lets our calls through until then, at most."""
    limit = PLOTS[name][3][CREATE]
    total = limit.burst + limit.refill * at
    if name == "shared":
        total -= 2.5 * min(60.0, max(0.0, at - 40))
    if name == "raised":
        total += 4 * limit.refill * max(0.0, at - 30)
    return min(float(calls), total)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    for name in PLOTS:
        (folder / f"limiter-{name}.svg").write_text(plot(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
