"""Keeps up with one resource: a full list in pages, then a watch from the list's version, and again when that breaks.

Deterministic: `step()` lists once or follows one watch to its end, and says how long to wait before the next step.
Absence of information is never deletion: objects are reported deleted by the watch, or when all pages of a complete
list were read and they were in none of them.

Lists ask for the newest state (no resourceVersion), not for the API server's cache, which may be older than what was
already seen. See "Efficient detection of changes" in the Kubernetes API concepts.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from common.clock import Clock
from common.kube.lenient import Raw, decode, log_problem
from common.kube.project import Identity, identity, identity_of
from common.kube.raw import AnyObject, Page, Status, WatchLine
from common.kube.status import failure, said_by
from common.kube.transport import JSON, METADATA, METADATA_LIST, REQUEST_SECONDS, Response, Transport, WatchRefused
from common.logging import get_logger
from common.metrics import WATCH_RESTARTS
from common.model.errors import OutsideError, Unsure

WATCH_SECONDS = (240.0, 480.0)
"""Bounds of timeoutSeconds: random, so that watches of many clients do not end together."""
READ_MARGIN_SECONDS = 30.0
"""A server silent for this much longer than the watch may last is frozen, or the connection is dead."""
QUIET_SECONDS = 150.0
"""Silence after which a watch is begun again where bookmarks come: kube-apiserver sends one about every minute."""
FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.5, 30.0
MISSING_SECONDS = 60.0
"""A resource not served for this long after it had objects is really gone, and its objects with it."""
NOT_SERVED_SECONDS = 10.0
"""Interval of looks whether a missing resource is served by now."""
LIST_SECONDS = 2 * REQUEST_SECONDS
STUCK_TRIES = 3
"""A watch that fails so often in a row at one version begins with a new list."""
ENDED_AT_ONCE = "EndedAtOnce"
GONE, TOO_MANY_REQUESTS = 410, 429

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What is listed and watched."""

    name: str
    """For logs and metrics."""
    path: str
    """`/api/v1/pods`"""
    field_selector: str = ""
    optional: bool = False
    """Not served (its CRD is not there) counts as a complete, empty list."""
    metadata_only: bool = False
    """Objects come without spec, status and data."""


OnEvent = Callable[[str, Raw], None]
"""`ADDED`, `MODIFIED` or `DELETED`, with the object as the server wrote it. A deletion found by a list carries only
the object's identity."""


class Reflector:
    def __init__(
        self,
        resource: Resource,
        transport: Transport,
        *,
        clock: Clock,
        rng: random.Random,
        on_event: OnEvent,
        on_synced: Callable[[], None],
        page_size: int = 500,
    ) -> None:
        """`on_synced` is called after every complete list."""
        self.resource = resource
        self._transport, self._clock, self._rng = transport, clock, rng
        self._on_event, self._on_synced, self._page_size = on_event, on_synced, page_size
        self._version: str | None = None
        """From which to watch; None: list first."""
        self._known: dict[tuple[str, str], Identity] = {}
        self._failures = self._refusals = 0
        """In a row; progress of a watch ends the row."""
        self._missing_since: float | None = None
        self._bookmarks = False
        self.progress_at = clock.monotonic()
        """Monotonic seconds at which the server last told us anything."""

    def step(self) -> float:
        """One full list, or one watch until it ends. Seconds to wait before the next step. Raises only what the
        callbacks raise."""
        try:
            return self._list() if self._version is None else self._watch(self._version)
        except WatchRefused as refused:
            return self._refused(refused.response)
        except OutsideError as error:
            return self._failed(error.code, error.message)

    # --- list

    def _list(self) -> float:
        """Read all pages. Raises OutsideError, and then nothing is taken for deleted."""
        seen: set[tuple[str, str]] = set()
        query = self._query(limit=str(self._page_size))
        accept = METADATA_LIST if self.resource.metadata_only else JSON
        while True:
            response = self._transport.request(
                "GET", self.resource.path, query=query, timeout=LIST_SECONDS, accept=accept
            )
            if response.status == 404 and self.resource.optional and "continue" not in query:
                return self._not_served()
            page = _page(response)
            self.progress_at = self._clock.monotonic()
            for raw in page.items or ():
                if (found := identity(raw)) is not None:
                    seen.add((found.namespace, found.name))
                    self._present(found, raw)
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        for key in [key for key in self._known if key not in seen]:
            self._absent(key)
        self._version, self._missing_since = page.metadata.resource_version, None
        self._on_synced()
        return 0.0

    def _not_served(self) -> float:
        """Nothing to list. A server that is starting up may say so of a resource that has objects: they are taken for
        deleted only when it goes on."""
        now = self.progress_at = self._clock.monotonic()
        if self._missing_since is None:
            self._missing_since = now
            _log.warning("resource is not served", kind=self.resource.name, path=self.resource.path)
        if not self._known or now - self._missing_since >= MISSING_SECONDS:
            for key in list(self._known):
                self._absent(key)
            self._on_synced()
        return self._rng.uniform(0.5, 1.0) * NOT_SERVED_SECONDS

    # --- watch

    def _watch(self, version: str) -> float:
        """Follow the watch until it ends. Raises OutsideError and WatchRefused."""
        seconds = self._rng.uniform(*WATCH_SECONDS)
        query = self._query(
            watch="true", allowWatchBookmarks="true", resourceVersion=version, timeoutSeconds=str(int(seconds))
        )
        silence = QUIET_SECONDS if self._bookmarks else seconds + READ_MARGIN_SECONDS
        began = self._clock.monotonic()
        accept = METADATA if self.resource.metadata_only else JSON
        for line in self._transport.stream(self.resource.path, query, silence, accept=accept):
            self._take(line)
            self.progress_at = self._clock.monotonic()
            self._failures = self._refusals = 0
        now = self.progress_at = self._clock.monotonic()
        if self._version == version and now - began < 1.0:
            # Ended at once without a word: a server or proxy that would have us spin.
            return self._failed(ENDED_AT_ONCE, "")
        self._failures = self._refusals = 0
        WATCH_RESTARTS.labels(self.resource.name, "ended").inc()
        return self._rng.uniform(0.0, 0.1)

    def _take(self, line: bytes) -> None:
        """One line of a watch. Raises WatchRefused for an error, or for what is no event."""
        try:
            event = msgspec.json.decode(line, type=WatchLine)
            if event.type == "ERROR":
                status = msgspec.json.decode(event.object, type=Status)
                raise WatchRefused(Response(status.code, bytes(event.object)))
        except (msgspec.DecodeError, ValueError) as error:
            raise WatchRefused(Response(400, line)) from error
        found = decode(event.object, AnyObject, log_problem)
        if event.type == "BOOKMARK":
            self._bookmarks = True
        elif found is not None and found.metadata.name:
            object_ = identity_of(found)
            if event.type == "DELETED":
                self._gone(object_, event.object)
            else:
                self._present(object_, event.object)
        if found is not None and found.metadata.resource_version:
            self._version = found.metadata.resource_version

    def _refused(self, response: Response) -> float:
        """The server does not watch from our version. Where that is too old, or goes on, a list comes next: after a
        restored backup, versions can be newer than any that the server knows."""
        said = said_by(response)
        self._refusals += 1
        if GONE in (response.status, said.code):
            self._version = None
            if self._refusals == 1:
                WATCH_RESTARTS.labels(self.resource.name, "expired").inc()
                return self._rng.uniform(0.0, 0.1)
        elif self._refusals >= STUCK_TRIES and response.status != TOO_MANY_REQUESTS:
            self._version = None
        return self._failed(said.reason or f"HTTP{response.status}", said.message)

    # --- what is known

    def _present(self, found: Identity, raw: Raw) -> None:
        key = (found.namespace, found.name)
        before = self._known.get(key)
        if before is not None and before.uid != found.uid:
            self._absent(key)
            before = None
        self._known[key] = found
        if before is None or before.resource_version != found.resource_version or not found.resource_version:
            self._on_event("ADDED" if before is None else "MODIFIED", raw)

    def _gone(self, found: Identity, raw: Raw) -> None:
        key = (found.namespace, found.name)
        known = self._known.get(key)
        if known is not None and known.uid == found.uid:
            del self._known[key]
        self._on_event("DELETED", raw)

    def _absent(self, key: tuple[str, str]) -> None:
        found = self._known.pop(key)
        metadata = {"namespace": found.namespace, "name": found.name, "uid": found.uid}
        self._on_event("DELETED", msgspec.json.encode({"metadata": metadata}))

    def _failed(self, code: str, message: str) -> float:
        """Seconds to wait: longer each time, jittered."""
        self._failures += 1
        WATCH_RESTARTS.labels(self.resource.name, code).inc()
        longest = min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures - 1, 10))
        delay = longest * self._rng.uniform(0.5, 1.0)
        say = _log.debug if code == ENDED_AT_ONCE else _log.warning
        say("watch interrupted", kind=self.resource.name, code=code, message=message, retry_in=round(delay, 1))
        return delay

    def _query(self, **parts: str) -> dict[str, str]:
        if self.resource.field_selector:
            parts["fieldSelector"] = self.resource.field_selector
        return parts


def _page(response: Response) -> Page:
    """Raises OutsideError; Unsure where the answer is no list."""
    if response.status != 200:
        raise failure(response)
    try:
        page = msgspec.json.decode(response.body, type=Page)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unsure("MalformedList", str(error)) from error
    if not page.metadata.resource_version:
        raise Unsure("MalformedList", "the answer is no list")
    return page
