"""One resource that the view follows: the common reflector, and how its last list went."""

import random
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any

from common.clock import Clock
from common.kube.reflector import OnEvent, Reflector, Resource
from common.kube.status import failure
from common.kube.transport import JSON, Response, Transport
from common.model.errors import OutsideError, Throttled, Unsure

ABSENT_SECONDS = 2.0
"""Between looks for a CRD that is not installed: pods made right after it is count on it."""
LONGEST_WAIT_SECONDS = 5.0
"""Between tries when the API server fails: shorter than the reflector would have it, since pods are judged by what
was last read."""


class _ListOutcome:
    """A transport that remembers how the last list ended."""

    def __init__(self, inner: Transport, told: Callable[[], None]) -> None:
        self._inner, self._told = inner, told
        self.failed: OutsideError | None = None
        self.absent = False

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        timeout: float | None = None,
        accept: str = JSON,
    ) -> Response:
        try:
            response = self._inner.request(
                method, path, query=query, body=body, content_type=content_type, timeout=timeout, accept=accept
            )
        except OutsideError as error:
            self.failed = error
            self._told()
            raise
        self.absent = response.status == 404
        self.failed = None if response.status == 200 else failure(response)
        if self.failed is not None:
            self._told()
        return response

    def stream(
        self, path: str, query: Mapping[str, str], read_timeout: float, *, accept: str = JSON
    ) -> Iterator[bytes]:
        return self._inner.stream(path, query, read_timeout, accept=accept)


class Watched:
    def __init__(
        self,
        resource: Resource,
        transport: Transport,
        *,
        clock: Clock,
        rng: random.Random,
        on_event: OnEvent,
        on_news: Callable[[], None],
    ) -> None:
        """`on_news` is called when a list succeeded or failed."""
        self.synced = False
        self._on_news = on_news
        self._list = _ListOutcome(transport, on_news)
        self._reflector = Reflector(
            resource, self._list, clock=clock, rng=rng, on_event=on_event, on_synced=self._complete
        )

    def _complete(self) -> None:
        self.synced = True
        self._on_news()

    @property
    def absent(self) -> bool:
        """The API server does not serve the resource."""
        return self._list.absent

    @property
    def tried(self) -> bool:
        return self.synced or self._list.failed is not None

    @property
    def unreadable(self) -> str | None:
        """Why what is known must not be relied on: never read completely, or reading is refused. While the API server
        merely cannot be reached, the last known state stands."""
        failed = self._list.failed
        if self.synced and (failed is None or self.absent or isinstance(failed, Unsure | Throttled)):
            return None
        return str(failed) if failed is not None else "it has not been read yet"

    def step(self) -> float:
        """One list or one watch; seconds to wait before the next."""
        return min(self._reflector.step(), ABSENT_SECONDS if self.absent else LONGEST_WAIT_SECONDS)

    def follow(self, stop: Event) -> None:
        """Lists and watches until `stop` is set: the body of a thread."""
        while not stop.is_set():
            stop.wait(self.step())
