"""One resource that the view follows: the common reflector, and how its last list went."""

import random
from collections.abc import Callable
from threading import Event

from common.clock import Clock
from common.kube.reflector import OnEvent, Reflector, Resource
from common.kube.transport import Transport
from common.model.errors import Throttled, Unsure

ABSENT_SECONDS = 2.0
"""Between looks for a CRD that is not installed: pods made right after it is count on it."""
LONGEST_WAIT_SECONDS = 5.0
"""Between tries when the API server fails: shorter than the reflector would have it, since pods are judged by what
was last read."""


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
        self._reflector = Reflector(
            resource,
            transport,
            clock=clock,
            rng=rng,
            on_event=on_event,
            on_synced=on_news,
            on_failed=on_news,
        )

    @property
    def name(self) -> str:
        return self._reflector.resource.name

    @property
    def absent(self) -> bool:
        """The API server does not serve the resource."""
        return self._reflector.absent

    @property
    def tried(self) -> bool:
        return self._reflector.synced or self._reflector.list_failure is not None

    @property
    def unreadable(self) -> str | None:
        """Why what is known must not be relied on: never read completely, or reading is refused. While the API server
        merely cannot be reached, the last known state stands."""
        failure = self._reflector.list_failure
        if self._reflector.synced and (failure is None or isinstance(failure, Unsure | Throttled)):
            return None
        return str(failure) if failure is not None else "it has not been read yet"

    def step(self) -> float:
        """One list or one watch; seconds to wait before the next."""
        return min(self._reflector.step(), ABSENT_SECONDS if self.absent else LONGEST_WAIT_SECONDS)

    def follow(self, stop: Event) -> None:
        """Lists and watches until `stop` is set: the body of a thread."""
        while not stop.is_set():
            stop.wait(self.step())
