"""Spans of what is done for pods and nodes. They go to this process' tracer; where it has none nothing is done here.

What a thread does hangs below its scope, which `below` sets: whoever is further down (EC2, the gate) needs no argument.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from secrets import randbits
from types import TracebackType
from typing import Protocol, Self

from common.clock import Clock
from common.trace_ids import Place, is_sampled

Value = str | int | float | bool
CODE = "vpc_rc.code"
"""Attribute: how a call or a step ended, as in logs and metrics."""
NODE = "k8s.node.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A span that has ended. Times in epoch seconds."""

    name: str
    place: Place
    parent: int
    """A span of the same trace; 0: none."""
    began: float
    ended: float
    attributes: Mapping[str, Value] = field(default_factory=dict)
    link: Place | None = None
    """A span of another trace that this one is a part of."""
    client: bool = False
    """It is a call to another service."""
    code: str = ""
    """Why it failed; "": it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Below what a thread's next spans hang."""

    root: Place
    """What hangs below nothing nearer hangs here."""
    place: Place
    began: float
    """When the span at `place` began, in epoch seconds."""
    clock: Clock
    attributes: Mapping[str, Value] = field(default_factory=dict)
    """Of each of these spans."""


class Tracer(Protocol):
    """Takes spans that have ended."""

    ratio: float

    def add(self, span: Finished) -> None: ...

    def stop(self) -> None: ...


_tracer: Tracer | None = None
_scope: ContextVar[Scope | None] = ContextVar("trace scope", default=None)


def use(tracer: Tracer | None) -> Tracer | None:
    """Give spans to this one from now on; None: to nobody. The one before it."""
    global _tracer  # One for each process, as its logging and metrics
    before, _tracer = _tracer, tracer
    return before


def on() -> bool:
    """Whether any span is sent."""
    return _tracer is not None


def samples(place: Place) -> bool:
    """Whether spans of this trace are sent."""
    tracer = _tracer
    return tracer is not None and is_sampled(place.trace, tracer.ratio)


def record(span: Finished) -> None:
    """Send a span, where its trace is sampled."""
    tracer = _tracer  # Another thread may end it.
    if tracer is not None and is_sampled(span.place.trace, tracer.ratio):
        tracer.add(span)


def new_span(trace: int) -> Place:
    """A place in the trace that no other span has."""
    return Place(trace=trace, span=randbits(64) or 1)


@contextmanager
def below(scope: Scope | None) -> Iterator[None]:
    """What this thread does meanwhile, and threads that get a copy of its context, hangs there; None: nowhere."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


class Off:
    """Of a span that nobody sends."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add to its attributes."""

    def failed(self, code: str) -> None:
        """It is shown as an error, with this code."""


class _Open(Off):
    """One that is under way."""

    __slots__ = ("_attributes", "_client", "_code", "_name", "_scope", "_token", "_within")

    def __init__(self, name: str, scope: Scope, *, client: bool) -> None:
        self._name, self._scope, self._client, self._code = name, scope, client, ""
        self._attributes: dict[str, Value] = {}

    def __enter__(self) -> Self:
        place = new_span(self._scope.place.trace)
        self._within = replace(self._scope, place=place, began=self._scope.clock.now())
        self._token = _scope.set(self._within)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _scope.reset(self._token)
        record(
            Finished(
                name=self._name,
                place=self._within.place,
                parent=self._scope.place.span,
                began=self._within.began,
                ended=self._scope.clock.now(),
                attributes={**self._scope.attributes, **self._attributes},
                client=self._client,
                code=self._code or (kind.__name__ if kind is not None else ""),
            )
        )

    def note(self, attributes: Mapping[str, Value]) -> None:
        self._attributes |= attributes

    def failed(self, code: str) -> None:
        self._code = code


_OFF = Off()


def span(name: str, *, client: bool = False) -> Off:
    """Around what it measures; below it hangs what is done meanwhile. Of no effect where the thread has no scope."""
    scope = _scope.get()
    return _OFF if scope is None else _Open(name, scope, client=client)


def waited(name: str, seconds: float, attributes: Mapping[str, Value]) -> None:
    """The thread has waited for so long until now, perhaps since before the span that it is in began: then this one
    hangs at the root of the trace."""
    scope = _scope.get()
    if scope is None:
        return
    ended = scope.clock.now()
    began = ended - seconds
    parent = scope.place if began >= scope.began else scope.root
    record(
        Finished(
            name=name,
            place=new_span(scope.place.trace),
            parent=parent.span,
            began=began,
            ended=ended,
            attributes={**scope.attributes, **attributes},
        )
    )
