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
from common.kube.decode import Identity, identity_of
from common.kube.discovery import is_served
from common.kube.nesting import decode_json
from common.kube.raw import AnyObject, Name, Status, WatchLine
from common.kube.status import failure, page_in, said_by
from common.kube.tolerant import Raw, decode, log_problem
from common.kube.transport import JSON, METADATA, METADATA_LIST, Request, Response, Transport, WatchRefused
from common.logging import get_logger
from common.metrics import OBJECTS_SET_ASIDE, WATCH_RESTARTS
from common.model.errors import OutsideError

WATCH_SECONDS = (11.0, 16.0)
"""Bounds of timeoutSeconds: random, so that watches of many clients do not end together. Short, because its end is the
one thing that a quiet watch can be held to: behind a connection that a proxy keeps open, or a frozen server, nothing
else tells silence from a quiet cluster. A watch from a version in the server's cache costs it next to nothing, and
kube-apiserver sends a bookmark 2 s before a watch's end."""
MARGIN_SECONDS = 4.0
"""A watch that has not ended so long after its time is dead: it is noticed 20 s after its begin at most."""
DEAF_SECONDS = 25.0
"""Without a page, a line or the orderly end of a watch for so long nothing is known of changes: longer than any healthy
watch is quiet."""
LIVED_SECONDS = 1.0
"""A watch that lived so long was no failure, whoever cut it: the next one begins without a growing wait."""
FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.5, 30.0
MISSING_SECONDS = 60.0
"""A resource not served for this long after it had objects is really gone, and its objects with it."""
NOT_SERVED_SECONDS = 10.0
"""Interval of looks whether a missing resource is served by now."""
LIST_SECONDS = 60.0
"""For one page: kube-apiserver itself gives up after 60 s."""
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
    decoded_as: type[msgspec.Struct] | None = None
    """The struct of common.kube.raw that `on_event` gets. None: objects as the server wrote them, for whoever takes
    them as a whole or not at all."""


OnEvent = Callable[[str, Raw], None]
"""`ADDED`, `MODIFIED` or `DELETED`, with the object. A deletion found by a list carries only the object's identity."""


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
        on_failed: Callable[[], None] = lambda: None,
        on_set_aside: Callable[[Identity, str], None] = lambda _object, _problem: None,
        page_size: int = 500,
    ) -> None:
        """`on_synced` is called after every complete list, `on_failed` after a list that could not be read. An object
        that `on_event` raises for is set aside: `on_set_aside` gets it with the problem in words, and all others are
        served."""
        self.resource = resource
        self.absent = False
        """The API server does not serve the resource, as of the last list."""
        self.synced = False
        """A list was complete once."""
        self.list_failure: OutsideError | None = None
        """What the last list failed with; None: it did not, or none has ended yet."""
        self._transport, self._clock, self._rng = transport, clock, rng
        self._on_event, self._on_synced, self._page_size = on_event, on_synced, page_size
        self._on_failed, self._on_set_aside = on_failed, on_set_aside
        # Counts from 0 on: what begins at 1 is no increase to Prometheus.
        OBJECTS_SET_ASIDE.labels(resource.name)
        self._set_aside: dict[tuple[str, str], tuple[Identity, str]] = {}
        """Objects that are there and could not be taken in, with the problem."""
        self._version: str | None = None
        """From which to watch; None: list first."""
        self._known: dict[tuple[str, str], Identity] = {}
        self._failures = self._refusals = 0
        """In a row; progress of a watch ends the row."""
        self._missing_since: float | None = None
        self.turned_at = clock.monotonic()
        """Monotonic seconds at which an answer, a line of a watch or a failure last came: a healthy reflector is never
        without one for longer than one request takes."""
        self._heard_at = self.turned_at
        self._why = ""
        """What the last list or watch failed with; "" where it did not."""

    def repeat_set_aside(self) -> None:
        """Call `on_set_aside` once more for each object that is set aside now."""
        for found, problem in list(self._set_aside.values()):
            self._on_set_aside(found, problem)

    def problem(self) -> str | None:
        """Why what is known of the resource may be outdated; None: it was heard of within DEAF_SECONDS."""
        deaf = self._clock.monotonic() - self._heard_at
        if deaf <= DEAF_SECONDS:
            return None
        return f"nothing heard of {self.resource.name} for {deaf:.0f} s: {self._why or 'no answer'}"

    def step(self) -> float:
        """One full list, or one watch until it ends. Seconds to wait before the next step. Raises only what
        `on_synced` raises."""
        try:
            return self._list_or_fail() if self._version is None else self._watch(self._version)
        except WatchRefused as refused:
            return self._refused(refused.response)
        except OutsideError as error:
            return self._failed(error.code, error.message)
        finally:
            self.turned_at = self._clock.monotonic()

    # --- list

    def _list_or_fail(self) -> float:
        try:
            return self._list()
        except OutsideError as error:
            self.list_failure = error
            self._on_failed()
            raise

    def _list(self) -> float:
        """Read all pages. Raises OutsideError, and then nothing is taken for deleted."""
        seen: set[tuple[str, str]] = set()
        query = self._query(limit=str(self._page_size))
        accept = METADATA_LIST if self.resource.metadata_only else JSON
        while True:
            response = self._transport.send(
                Request("GET", self.resource.path, query=query, timeout=LIST_SECONDS, accept=accept)
            )
            if response.status == 404 and self.resource.optional and "continue" not in query:
                if is_served(self._transport, self.resource.path, response):
                    raise failure(response)
                return self._not_served()
            page = page_in(response)
            self._heard()
            for item in page.items or ():
                found, raw = self._read(item)
                if found.name:
                    seen.add((found.namespace, found.name))
                    self._present(found, raw)
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        for key in [key for key in self._known if key not in seen]:
            self._absent(key)
        self._version, self._missing_since, self.absent = page.metadata.resource_version, None, False
        self._sync()
        return 0.0

    def _not_served(self) -> float:
        """Nothing to list. A server that is starting up may say so of a resource that has objects: they are taken for
        deleted only when it goes on."""
        now = self._clock.monotonic()
        self._heard()
        self.absent = True
        if self._missing_since is None:
            self._missing_since = now
            _log.warning("resource is not served", kind=self.resource.name, path=self.resource.path)
        if not self._known or now - self._missing_since >= MISSING_SECONDS:
            for key in list(self._known):
                self._absent(key)
            self._sync()
        return self._rng.uniform(0.5, 1.0) * NOT_SERVED_SECONDS

    def _sync(self) -> None:
        self.synced, self.list_failure = True, None
        self._on_synced()

    # --- watch

    def _watch(self, version: str) -> float:
        """Follow the watch until it ends. Raises OutsideError and WatchRefused."""
        seconds = self._rng.uniform(*WATCH_SECONDS)
        query = self._query(
            watch="true", allowWatchBookmarks="true", resourceVersion=version, timeoutSeconds=str(int(seconds))
        )
        began = self._clock.monotonic()
        accept = METADATA if self.resource.metadata_only else JSON
        request = Request("GET", self.resource.path, query=query, accept=accept, timeout=seconds + MARGIN_SECONDS)
        try:
            for line in self._transport.stream(request):
                self._take(line)
                self._heard()
                self._failures = self._refusals = 0
        except OutsideError:
            if self._clock.monotonic() - began >= LIVED_SECONDS:
                self._failures = 0
            raise
        if self._version == version and self._clock.monotonic() - began < LIVED_SECONDS:
            # Ended at once without a word: a server or proxy that would have us spin.
            return self._failed(ENDED_AT_ONCE, "")
        self._heard()
        self._failures = self._refusals = 0
        WATCH_RESTARTS.labels(self.resource.name, "ended").inc()
        return self._rng.uniform(0.0, 0.1)

    def _take(self, line: bytes) -> None:
        """One line of a watch. Raises WatchRefused for an error, or for what is no event."""
        try:
            event = decode_json(line, WatchLine)
            if event.type == "ERROR":
                status = decode_json(event.object, Status)
                raise WatchRefused(Response(status.code, bytes(event.object)))
        except (msgspec.DecodeError, ValueError) as error:
            raise WatchRefused(Response(400, line)) from error
        found, raw = self._read(event.object)
        if event.type != "BOOKMARK" and found.name:
            if event.type == "DELETED":
                self._gone(found, raw)
            else:
                self._present(found, raw)
        if found.resource_version:
            self._version = found.resource_version

    def _read(self, item: msgspec.Raw) -> tuple[Identity, Raw]:
        """Which object it is (name "" for what is none), and the object as `on_event` gets it. The one decoding."""
        kind = self.resource.decoded_as
        found = decode(item, kind or AnyObject, log_problem)
        return identity_of(found or AnyObject()), item if kind is None or found is None else found

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
            self._pass_on("ADDED" if before is None else "MODIFIED", found, raw)

    def _gone(self, found: Identity, raw: Raw) -> None:
        key = (found.namespace, found.name)
        known = self._known.get(key)
        if known is not None and known.uid == found.uid:
            del self._known[key]
        self._pass_on("DELETED", found, raw)

    def _absent(self, key: tuple[str, str]) -> None:
        found = self._known.pop(key)
        name = Name(namespace=found.namespace, name=found.name, uid=found.uid)
        self._pass_on("DELETED", found, AnyObject(metadata=name))

    def _pass_on(self, event: str, found: Identity, raw: Raw) -> None:
        self._set_aside.pop((found.namespace, found.name), None)
        try:
            self._on_event(event, raw)
        except Exception as error:  # noqa: BLE001  # reported; one object must not stop the others
            OBJECTS_SET_ASIDE.labels(self.resource.name).inc()
            _log.exception("object_set_aside", kind=self.resource.name, namespace=found.namespace, name=found.name)
            problem = f"{type(error).__name__}: {error}"
            if event != "DELETED":
                self._set_aside[found.namespace, found.name] = found, problem
            self._on_set_aside(found, problem)

    def _heard(self) -> None:
        """The API server answered as one that serves the resource."""
        self._heard_at = self.turned_at = self._clock.monotonic()
        self._why = ""

    def _failed(self, code: str, message: str) -> float:
        """Seconds to wait: longer each time, jittered."""
        self._failures += 1
        self._why = f"{code}: {message}" if message else code
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
