"""Reflectors in threads, one a kind, feeding the cache."""

import random
import threading
from collections.abc import Callable

from common import threads
from common.clock import Clock
from common.kube.decode import Identity
from common.kube.events import Involved
from common.kube.reflector import Reflector
from common.kube.tolerant import Raw
from common.kube.transport import Transport
from watcher.cluster_cache import ClusterCache
from watcher.kinds import OBJECTS, RESOURCES, Kind

UNWANTED_SECONDS = 1.0
"""Interval of looks whether a kind is wanted by now."""


def reflector(
    kind: Kind,
    transport: Transport,
    cache: ClusterCache,
    *,
    clock: Clock,
    rng: random.Random,
    page_size: int = 500,
    wake: Callable[[], None] = lambda: None,
    report: Callable[[Involved, str], None] = lambda _object, _problem: None,
) -> Reflector:
    """A reflector of one kind into the cache. `wake` is called when there is something to write, `report` with each
    object that could not be taken in and the problem in words."""

    def on_event(event: str, raw: Raw) -> None:
        cache.apply(kind, event, raw)
        if not cache.settled:
            wake()

    def on_synced() -> None:
        cache.synced(kind)
        wake()

    def on_set_aside(found: Identity, problem: str) -> None:
        api_version, name = OBJECTS[kind]
        # As in the kubelet's events, a node's uid is its name: `kubectl describe node` looks for that.
        uid = found.name if kind is Kind.NODES else found.uid
        about = Involved(api_version=api_version, kind=name, name=found.name, uid=uid, namespace=found.namespace)
        report(about, problem)

    return Reflector(
        RESOURCES[kind],
        transport,
        clock=clock,
        rng=rng,
        on_event=on_event,
        on_synced=on_synced,
        on_set_aside=on_set_aside,
        page_size=page_size,
    )


def follow(reflector: Reflector, stop: threading.Event, wanted: Callable[[], bool]) -> threading.Thread:
    """Step the reflector from a thread until `stop`, as long as it is `wanted`."""

    def run() -> None:
        while not stop.is_set():
            stop.wait(reflector.step() if wanted() else UNWANTED_SECONDS)

    return threads.start(f"reflect-{reflector.resource.name}", run)
