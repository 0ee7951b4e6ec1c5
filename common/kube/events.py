"""Kubernetes events (core/v1): never in the way of the work.

`emit` only queues. An event emitted again before it was written is counted, not queued again; what was written before
is patched with its new count. Events are for people: where the API server refuses one, or the queue is full, it is
dropped and counted. Where one namespace has thousands of events, its own are dropped and not those of others: a
namespace takes no more of the queue than it leaves free.
"""

import threading
from collections import Counter, OrderedDict
from datetime import UTC, datetime
from typing import Any

import msgspec

from common import threads
from common.clock import Clock
from common.kube.paths import CNINODE_VERSION, POLICY_VERSION, events_in, path_of
from common.kube.status import failure
from common.kube.transport import MERGE_PATCH, Request, Response, Transport
from common.logging import get_logger
from common.metrics import EVENTS_DROPPED
from common.model.errors import OutsideError, Throttled, Unsure
from common.model.names import COMPONENT
from common.model.notice import CniNodeNotice, EventReason, NodeNotice, Notice, PodNotice, PolicyNotice, Severity

QUEUE_LIMIT = 2000
REMEMBERED_LIMIT = 4096
"""Events whose counts can go up. Those forgotten are written anew."""
MESSAGE_LIMIT = 1024
"""Characters; the API server refuses longer ones for events.k8s.io and people do not read them."""
TRIES = 3
RETRY_SECONDS = 1.0
CALL_SECONDS = 10.0
STOP_SECONDS = 3.0

_log = get_logger(__name__)


class Involved(msgspec.Struct, frozen=True, kw_only=True):
    """The object that an event is about."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str = ""

    @property
    def home(self) -> str:
        """Where its events live."""
        return self.namespace or "default"


def involved_in(notice: Notice) -> Involved:
    match notice:
        case NodeNotice():
            # The uid is the name, as in the kubelet's events: `kubectl describe node` looks for that.
            return Involved(api_version="v1", kind="Node", name=notice.node, uid=notice.node)
        case PodNotice():
            return Involved(api_version="v1", kind="Pod", name=notice.name, uid=notice.uid, namespace=notice.namespace)
        case CniNodeNotice():
            return Involved(api_version=CNINODE_VERSION, kind="CNINode", name=notice.name, uid=notice.uid)
        case PolicyNotice():
            return Involved(
                api_version=POLICY_VERSION,
                kind="SecurityGroupPolicy",
                name=notice.name,
                uid=notice.uid,
                namespace=notice.namespace,
            )


class _Said(msgspec.Struct, frozen=True):
    """What makes two events the same."""

    about: Involved
    reason: str
    message: str
    severity: Severity


class _Written(msgspec.Struct):
    name: str
    count: int


class EventSink:
    """Takes notices from any thread. `start()` writes them from a thread of its own; without it, `drain()` does."""

    def __init__(self, transport: Transport, *, clock: Clock, host: str, queue_limit: int = QUEUE_LIMIT) -> None:
        """`host`: name of the machine or pod that we run on."""
        self._transport, self._clock, self._host, self._queue_limit = transport, clock, host, queue_limit
        self._queue: OrderedDict[_Said, int] = OrderedDict()
        self._queued: Counter[str] = Counter()
        """By the namespace of the object; "" for those that have none, which only administrators make."""
        self._written: OrderedDict[_Said, _Written] = OrderedDict()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._serial = 0

    def emit(self, notice: Notice) -> None:
        """Never blocks and never raises."""
        self.record(involved_in(notice), notice.reason, notice.message, notice.severity)

    def record(self, about: Involved, reason: EventReason, message: str, severity: Severity = Severity.NORMAL) -> None:
        """As `emit`, about any object."""
        said = _Said(about, reason, message[:MESSAGE_LIMIT], severity)
        with self._changed:
            if said not in self._queue:
                if not self._has_room(about.namespace):
                    EVENTS_DROPPED.inc()
                    return
                self._queued[about.namespace] += 1
            self._queue[said] = self._queue.get(said, 0) + 1
            self._changed.notify()

    def _has_room(self, namespace: str) -> bool:
        free = self._queue_limit - len(self._queue)
        return free > 0 and (not namespace or self._queued[namespace] < free)

    def start(self) -> None:
        self._thread = threads.start("events", self._run)

    def stop(self) -> None:
        """Write what is queued, without retries and within STOP_SECONDS, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def drain(self) -> None:
        """Write all that is queued now."""
        with self._writing:
            while (item := self._take()) is not None:
                self._write(*item)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
            self.drain()
            if self._stopping:
                return

    def _take(self) -> tuple[_Said, int] | None:
        with self._changed:
            if not self._queue:
                return None
            said, times = self._queue.popitem(last=False)
            self._queued[said.about.namespace] -= 1
            if not self._queued[said.about.namespace]:
                del self._queued[said.about.namespace]
            return said, times

    def _write(self, said: _Said, times: int) -> None:
        problem: OutsideError | None = None
        for attempt in range(1, TRIES + 1):
            try:
                response = self._send(said, times)
                if 200 <= response.status < 300:
                    return
                raise failure(response)
            except (Throttled, Unsure) as error:
                problem = error
                if self._stopping:
                    break
                if attempt < TRIES:
                    self._clock.sleep(RETRY_SECONDS * attempt)
            except OutsideError as error:
                problem = error
                break
            except Exception as error:  # noqa: BLE001  # reported; one event must not end the thread for the others
                EVENTS_DROPPED.inc()
                _log.exception("event_not_written", reason=said.reason, object=said.about.name, error=str(error))
                return
        EVENTS_DROPPED.inc()
        _log.info("event not written", reason=said.reason, object=said.about.name, error=str(problem))

    def _send(self, said: _Said, times: int) -> Response:
        """Patch the event's count, or write it for the first time. Raises Unsure."""
        now = datetime.fromtimestamp(self._clock.now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        collection = events_in(said.about.home)
        written = self._written.get(said)
        if written is not None:
            count = written.count + times
            response = self._transport.send(
                Request(
                    "PATCH",
                    path_of(collection, written.name),
                    body={"count": count, "lastTimestamp": now},
                    content_type=MERGE_PATCH,
                    timeout=CALL_SECONDS,
                )
            )
            if response.status != 404:
                if response.status < 300:
                    written.count = count
                    self._written.move_to_end(said)
                return response
            # The API server keeps events for an hour.
            del self._written[said]
        event = self._event(said, times, now)
        response = self._transport.send(Request("POST", collection, body=event, timeout=CALL_SECONDS))
        if response.status < 300:
            self._written[said] = _Written(event["metadata"]["name"], times)
            while len(self._written) > REMEMBERED_LIMIT:
                self._written.popitem(last=False)
        return response

    def _event(self, said: _Said, times: int, now: str) -> dict[str, Any]:
        self._serial += 1
        unique = f"{int(self._clock.now() * 1e6):x}{self._serial:04x}"
        about = said.about
        reference = {"apiVersion": about.api_version, "kind": about.kind, "name": about.name, "uid": about.uid}
        if about.namespace:
            reference["namespace"] = about.namespace
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name[:220].rstrip('.-')}.{unique}", "namespace": about.home},
            "involvedObject": reference,
            "reason": said.reason,
            "message": said.message,
            "type": str(said.severity),
            "count": times,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": COMPONENT, "host": self._host},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._host,
        }
