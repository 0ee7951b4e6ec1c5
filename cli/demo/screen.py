"""What a demo shows: live tables on a terminal, plain lines elsewhere."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from cli.demo.ideal import percentile
from cli.status.fit import as_tall_as
from cli.status.show import nodes_tables, summary
from cli.status.summary import ClusterStatus
from common.clock import Clock

BORDERS = 4
"""Columns of a panel that are not for its content."""
LINE_SECONDS = 5.0
"""Between two plain lines while nothing new begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One moment."""

    status: ClusterStatus | None = None
    pods: int = 0
    served: int = 0
    waits: list[float] = field(default_factory=list)
    """Seconds from scheduled to annotated."""
    calls: int = 0
    throttled: int = 0
    branches: int = 0
    """Branch interfaces that EC2 has on trunks."""

    def words(self) -> str:
        waits = f"p50 {percentile(self.waits, 0.5):.1f} s, p99 {percentile(self.waits, 0.99):.1f} s"
        return (
            f"pods {self.pods}, served {self.served}, waiting {self.pods - self.served}"
            f" | scheduled to annotated {waits}"
            f" | EC2: {self.branches} branches, {self.calls} calls, {self.throttled} throttled"
        )


class Screen(Protocol):
    def begin(self, phase: str) -> None:
        """A new part of the demo begins."""
        ...

    def show(self, picture: Picture) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Lines:
    """For logs and pipes."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock
        self._began, self._said = clock.monotonic(), 0.0

    def begin(self, phase: str) -> None:
        self._line(phase)
        self._said = self._clock.monotonic()

    def show(self, picture: Picture) -> None:
        if self._clock.monotonic() - self._said >= LINE_SECONDS:
            self.begin(f"  {picture.words()}")

    def _line(self, text: str) -> None:
        age = self._clock.monotonic() - self._began
        self._console.print(Text(f"{age:6.1f} s  {text}"), soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return


class Tables:
    """For a terminal: the phases so far stay above, the present state is drawn anew below."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock
        self._live = self._new_live()
        self._lines = Lines(console, clock)
        self._phase = ""

    def begin(self, phase: str) -> None:
        self._phase = phase
        self._lines.begin(phase)

    def show(self, picture: Picture) -> None:
        now = self._clock.now()
        parts: list[RenderableType] = [Text(part.strip()) for part in picture.words().split("|")]
        if picture.status is not None:
            parts += summary(picture.status)
        nodes = picture.status.nodes if picture.status else ()

        def panel(rows: int) -> Panel:
            tables = nodes_tables(nodes, now, rows, self._console.width - BORDERS) if nodes else []
            return Panel(Group(*parts, *tables), title=self._phase, title_align="left")

        self._live.update(as_tall_as(self._console, self._console.height, panel), refresh=True)

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        # A new one each time: at its second start, one would take what was printed since for its own and erase it.
        self._live = self._new_live()
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()
