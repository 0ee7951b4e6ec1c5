"""The reflector against the sandbox's API server and scripted ones."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from common.kube import raw as k
from common.kube.decode import identity, pod_facts
from common.kube.reflector import DEAF_SECONDS, LAST_BACKOFF_SECONDS, MISSING_SECONDS, Reflector, Resource
from common.kube.tolerant import Raw
from common.kube.transport import Request, Response, WatchRefused
from common.model.errors import Unsure
from tests.kit.api import InProcess, cluster, cut, node, pod
from tests.kit.clock import VirtualClock

PODS = Resource(name="pods", path="/api/v1/pods")
CNINODES = Resource(name="cninodes", path="/apis/vpcresources.k8s.aws/v1alpha1/cninodes", optional=True)
IN_DEFAULT = "/api/v1/namespaces/default/pods"


class Mirror:
    """What an observer of a reflector knows."""

    def __init__(self, transport: Any, clock: VirtualClock, resource: Resource = PODS, page_size: int = 2) -> None:
        self.clock = clock
        self.objects: dict[str, str] = {}
        self.events: list[tuple[str, str]] = []
        self.lists = 0
        self.reflector = Reflector(
            resource,
            transport,
            clock=clock,
            rng=random.Random(1),
            on_event=self._on_event,
            on_synced=self._on_synced,
            page_size=page_size,
        )

    def _on_event(self, kind: str, raw: Raw) -> None:
        found = identity(raw)
        assert found is not None
        self.events.append((kind, found.name))
        if kind == "DELETED":
            if self.objects.get(found.name) == found.uid:
                del self.objects[found.name]
        else:
            self.objects[found.name] = found.uid

    def _on_synced(self) -> None:
        self.lists += 1

    def step(self, times: int = 1) -> float:
        delay = 0.0
        for _ in range(times):
            delay = self.reflector.step()
            self.clock.sleep(delay)
        return delay


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> InProcess:
    return cluster(clock)


def make(api: InProcess, *names: str) -> None:
    for name in names:
        api.ok("POST", IN_DEFAULT, pod(name, "n1"))


def names_of(api: InProcess) -> set[str]:
    return {item["metadata"]["name"] for item in api.ok("GET", IN_DEFAULT)["items"]}


def test_all_pages_are_read_before_the_list_counts(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a", "b", "c", "d", "e")
    mirror = Mirror(api, clock)
    mirror.step()
    assert set(mirror.objects) == {"a", "b", "c", "d", "e"}
    assert mirror.lists == 1
    assert api.calls == [("GET", "/api/v1/pods")] * 3


def test_the_watch_goes_on_from_the_list(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a", "b")
    mirror = Mirror(api, clock)
    mirror.step()
    make(api, "c")
    api.ok("DELETE", f"{IN_DEFAULT}/a", {"gracePeriodSeconds": 0})
    mirror.step()
    assert set(mirror.objects) == {"b", "c"}
    assert mirror.lists == 1


def test_what_was_missed_while_cut_off_is_caught_up_without_a_list(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a")
    mirror = Mirror(api, clock)
    mirror.step(2)
    api.before = cut
    mirror.step(3)
    make(api, "b")
    api.before = lambda *_: None
    mirror.step()
    assert set(mirror.objects) == {"a", "b"}
    assert mirror.lists == 1


def test_an_expired_version_means_a_new_list_that_finds_the_deleted(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a", "b", "c")
    mirror = Mirror(api, clock)
    mirror.step()
    api.ok("DELETE", f"{IN_DEFAULT}/b", {"gracePeriodSeconds": 0})
    make(api, "d")
    api.world.compact()
    mirror.events.clear()
    mirror.step(2)
    assert set(mirror.objects) == {"a", "c", "d"}
    assert mirror.lists == 2
    assert sorted(mirror.events) == [("ADDED", "d"), ("DELETED", "b")]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(cut, id="the connection breaks"),
        pytest.param(lambda *_: Response(500, b"oops"), id="the server fails"),
        pytest.param(lambda *_: Response(404, b"404 page not found"), id="a proxy knows nothing"),
        pytest.param(lambda *_: Response(200, b"<html>"), id="the answer is no list"),
        pytest.param(lambda *_: Response(200, b"{}"), id="the answer is an empty object"),
        pytest.param(lambda *_: Response(403, b'{"kind":"Status","reason":"Forbidden"}'), id="it is forbidden"),
        pytest.param(lambda *_: Response(410, b'{"kind":"Status","reason":"Expired"}'), id="the page is too old"),
    ],
)
def test_a_failing_page_is_never_a_deletion(api: InProcess, clock: VirtualClock, answer: Any) -> None:
    make(api, "a", "b", "c", "d", "e")
    mirror = Mirror(api, clock)
    mirror.step()
    api.ok("DELETE", f"{IN_DEFAULT}/a", {"gracePeriodSeconds": 0})
    api.world.compact()
    api.before = lambda method, path, query: answer(method, path, query) if "continue" in query else None
    mirror.step(8)
    assert set(mirror.objects) == {"a", "b", "c", "d", "e"}
    assert mirror.lists == 1
    api.before = lambda *_: None
    mirror.step()
    assert set(mirror.objects) == {"b", "c", "d", "e"}


def test_waits_grow_and_are_capped_and_progress_resets_them(api: InProcess, clock: VirtualClock) -> None:
    mirror = Mirror(api, clock)
    mirror.step()
    api.before = cut
    delays = [mirror.step() for _ in range(12)]
    assert delays[0] <= 0.5
    assert all(delay <= LAST_BACKOFF_SECONDS for delay in delays)
    assert min(delays[-3:]) >= LAST_BACKOFF_SECONDS / 2
    api.before = lambda *_: None
    make(api, "a")
    mirror.step()
    api.before = cut
    assert mirror.step() <= 0.5


def test_a_server_that_ends_every_watch_at_once_does_not_make_us_spin(clock: VirtualClock) -> None:
    mirror = Mirror(Scripted([[]] * 6), clock)
    delays = [mirror.step() for _ in range(7)]
    assert delays[-1] > 5.0


def test_a_version_that_expires_again_and_again_does_not_make_us_spin(clock: VirtualClock) -> None:
    gone = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode()
    mirror = Mirror(Scripted([[gone]] * 20), clock)
    delays = [mirror.step() for _ in range(20)]
    assert mirror.lists >= 5
    assert delays[-1] + delays[-2] > 5.0


def test_a_watch_that_cannot_be_read_ends_in_a_new_list(clock: VirtualClock) -> None:
    mirror = Mirror(Scripted([[b"{]"]] * 3 + [[]]), clock)
    mirror.step(5)
    assert mirror.lists == 2


def test_a_recreated_pod_of_the_same_name_is_a_deletion_and_an_addition(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a")
    mirror = Mirror(api, clock)
    mirror.step()
    api.ok("DELETE", f"{IN_DEFAULT}/a", {"gracePeriodSeconds": 0})
    make(api, "a")
    api.world.compact()
    mirror.events.clear()
    mirror.step(2)
    assert mirror.events == [("DELETED", "a"), ("ADDED", "a")]
    assert mirror.objects["a"] == api.ok("GET", f"{IN_DEFAULT}/a")["metadata"]["uid"]


def test_a_missing_definition_is_an_empty_list_and_is_looked_for_again(clock: VirtualClock) -> None:
    bare = cluster(clock, definitions=False)
    mirror = Mirror(bare, clock, CNINODES)
    mirror.step()
    assert (mirror.lists, mirror.objects) == (1, {})
    served = cluster(clock)
    bare.world = served.world
    served.ok("POST", CNINODES.path, {"metadata": {"name": "n1"}, "spec": {}})
    mirror.step()
    assert set(mirror.objects) == {"n1"}


NOT_SERVED = b"404 page not found\n"
"""As kube-apiserver answers where a group does not exist; any Go server does."""
NO_SUCH_RESOURCE = json.dumps({"kind": "Status", "code": 404, "reason": "NotFound", "details": {}}).encode()


def test_a_definition_missing_for_a_moment_deletes_nothing(api: InProcess, clock: VirtualClock) -> None:
    api.ok("POST", CNINODES.path, {"metadata": {"name": "n1"}, "spec": {}})
    mirror = Mirror(api, clock, CNINODES)
    mirror.step()
    api.world.compact()
    api.before = lambda method, *_: Response(410, b"") if method == "WATCH" else Response(404, NO_SUCH_RESOURCE)
    until = clock.time + MISSING_SECONDS / 2
    while clock.time < until:
        mirror.step()
    assert set(mirror.objects) == {"n1"}
    while clock.time < until + MISSING_SECONDS:
        mirror.step()
    assert mirror.objects == {}


@pytest.mark.parametrize("body", [NOT_SERVED, b"<html>no such page</html>"])
def test_the_404_of_a_proxy_is_no_missing_definition(api: InProcess, clock: VirtualClock, body: bytes) -> None:
    api.ok("POST", CNINODES.path, {"metadata": {"name": "n1"}, "spec": {}})
    mirror = Mirror(api, clock, CNINODES)
    mirror.step()
    api.world.compact()
    api.before = lambda method, path, _: (
        Response(410, b"") if method == "WATCH" else Response(404, body) if path == CNINODES.path else None
    )
    until = clock.time + 2 * MISSING_SECONDS
    while clock.time < until:
        mirror.step()
    assert (set(mirror.objects), mirror.lists, mirror.reflector.absent) == ({"n1"}, 1, False)


def test_a_missing_group_is_believed_when_discovery_lacks_it(clock: VirtualClock) -> None:
    bare = cluster(clock, definitions=False)
    bare.before = lambda method, path, _: Response(404, NOT_SERVED) if path == CNINODES.path else None
    mirror = Mirror(bare, clock, CNINODES)
    mirror.step()
    assert (mirror.lists, mirror.reflector.absent) == (1, True)


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("levels", [990, 1_000, 9_990])
def test_an_object_nested_as_deep_as_the_api_server_allows_is_served_like_any_other(
    clock: VirtualClock, levels: int
) -> None:
    def named(name: str, extra: bytes) -> bytes:
        metadata = json.dumps({"name": name, "uid": name, "resourceVersion": "7"}).encode()
        return b'{"metadata":' + metadata + b',"spec":{"subnet":"subnet-1","extra":' + extra + b"}}"

    deep, plain = nested(levels), b"1"
    server = Scripted(
        [[b'{"type":"ADDED","object":' + named(name, x) + b"}" for name, x in (("c", deep), ("d", plain))]]
    )
    server.items = b",".join((named("a", deep), named("b", plain)))
    mirror = Mirror(server, clock)
    mirror.step(2)
    assert set(mirror.objects) == {"a", "b", "c", "d"}


def test_an_object_that_cannot_be_taken_in_is_set_aside_and_the_others_are_served(
    api: InProcess, clock: VirtualClock
) -> None:
    make(api, "a", "b", "c")
    taken: list[str] = []
    set_aside: list[tuple[str, str]] = []

    def on_event(_: str, raw: Raw) -> None:
        found = identity(raw)
        assert found is not None
        if found.name == "b":
            raise RuntimeError("odd")
        taken.append(found.name)

    reflector = Reflector(
        PODS, api, clock=clock, rng=random.Random(1), on_event=on_event, on_synced=lambda: taken.append("synced"),
        on_set_aside=lambda found, problem: set_aside.append((found.name, problem)),
    )  # fmt: skip
    reflector.step()
    make(api, "d")
    reflector.step()
    assert taken == ["a", "c", "synced", "d"]
    assert set_aside == [("b", "RuntimeError: odd")]


def test_a_quiet_watch_that_a_load_balancer_cuts_is_begun_again_without_a_growing_wait(clock: VirtualClock) -> None:
    class Cutting(Scripted):
        def stream(self, request: Request) -> Iterator[bytes]:
            clock.sleep(10.0)
            yield from ()
            raise Unsure("ConnectionReset", "cut")

    mirror = Mirror(Cutting([]), clock)
    mirror.step()
    assert max(mirror.step() for _ in range(12)) <= 0.5


class Scripted:
    """Lists are empty; each watch gives the next lines of the script. Silence is an exception in the script."""

    def __init__(self, watches: Sequence[Sequence[bytes | Exception]]) -> None:
        self.watches = list(watches)
        self.items = b""
        self.timeouts: list[tuple[float, float]] = []

    def send(self, request: Request) -> Response:
        return Response(200, b'{"metadata":{"resourceVersion":"5"},"items":[' + self.items + b"]}")

    def stream(self, request: Request) -> Iterator[bytes]:
        self.timeouts.append((float(request.query["timeoutSeconds"]), request.timeout))
        if not self.watches:
            raise WatchRefused(Response(429, b""))
        for line in self.watches.pop(0):
            if isinstance(line, Exception):
                raise line
            yield line


def test_every_watch_is_held_to_an_end_within_twenty_seconds(clock: VirtualClock) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}'
    server = Scripted([[bookmark] for _ in range(50)])
    Mirror(server, clock).step(51)
    assert len(server.timeouts) == 50
    for seconds, timeout in server.timeouts:
        assert seconds + 3 <= timeout <= 20, "the server ends it, or it is dead: silence of a half-open connection ends"


def test_a_resource_of_which_nothing_is_heard_is_a_problem_until_it_answers(
    api: InProcess, clock: VirtualClock
) -> None:
    mirror = Mirror(api, clock)
    began = clock.time
    mirror.step(3)
    clock.sleep(DEAF_SECONDS - 1)
    assert mirror.reflector.problem() is None
    api.before = cut
    while clock.time < began + 2 * DEAF_SECONDS:
        mirror.step()
    assert "nothing heard of pods" in str(mirror.reflector.problem())
    assert "ConnectionReset" in str(mirror.reflector.problem())
    api.before = lambda *_: None
    mirror.step()
    assert mirror.reflector.problem() is None


def test_quiet_watches_that_end_in_time_are_no_problem(clock: VirtualClock) -> None:
    class Quiet(Scripted):
        def stream(self, request: Request) -> Iterator[bytes]:
            clock.sleep(float(request.query["timeoutSeconds"]))
            assert mirror.reflector.problem() is None
            yield from ()

    mirror = Mirror(Quiet([]), clock)
    mirror.step(20)
    assert mirror.reflector.problem() is None


def test_a_watch_that_hangs_is_a_problem_although_it_was_begun(clock: VirtualClock) -> None:
    class Hanging(Scripted):
        def stream(self, request: Request) -> Iterator[bytes]:
            clock.sleep(request.timeout)
            yield from ()
            raise Unsure("ReadTimeoutError", "silent")

    mirror = Mirror(Hanging([]), clock)
    mirror.step(3)
    assert "ReadTimeoutError: silent" in str(mirror.reflector.problem())


def test_a_resource_that_is_not_served_is_no_problem(clock: VirtualClock) -> None:
    mirror = Mirror(cluster(clock, definitions=False), clock, CNINODES)
    mirror.step(10)
    assert mirror.reflector.absent
    assert mirror.reflector.problem() is None


def test_an_object_is_decoded_once_for_all_who_read_it(api: InProcess, clock: VirtualClock) -> None:
    got: list[tuple[str, Raw]] = []
    reflector = Reflector(
        Resource(name="pods", path="/api/v1/pods", decoded_as=k.Pod), api, clock=clock, rng=random.Random(1),
        on_event=lambda event, raw: got.append((event, raw)), on_synced=lambda: None,
    )  # fmt: skip
    make(api, "listed")
    reflector.step()
    make(api, "watched")
    reflector.step()
    api.ok("DELETE", f"{IN_DEFAULT}/listed", {"gracePeriodSeconds": 0})
    reflector.step()
    assert [event for event, _ in got if event != "MODIFIED"] == ["ADDED", "ADDED", "DELETED"]
    assert {type(raw) for _, raw in got} == {k.Pod}
    assert {facts.node_name for _, raw in got if (facts := pod_facts(raw)) is not None} == {"n1"}


def test_field_selectors_go_with_lists_and_watches(api: InProcess, clock: VirtualClock) -> None:
    make(api, "a", "b")
    mirror = Mirror(api, clock, Resource(name="one", path=IN_DEFAULT, field_selector="metadata.name=b"))
    mirror.step()
    make(api, "c")
    mirror.step()
    assert set(mirror.objects) == {"b"}


@pytest.mark.parametrize("seed", range(25))
def test_any_cuts_and_failures_end_in_what_is_there(seed: int) -> None:
    rng, clock = random.Random(seed), VirtualClock()
    api = cluster(clock, definitions=False, seed=seed)
    api.ok("POST", "/api/v1/nodes", node("n1"))
    mirror = Mirror(api, clock)
    mirror.reflector._rng.seed(seed)

    def faults(method: str, path: str, query: Mapping[str, str]) -> Response | None:
        roll = rng.random()
        if roll < 0.2:
            raise Unsure("ConnectionReset", "injected")
        if roll < 0.35:
            return Response(rng.choice([410, 429, 500, 503, 404]), b'{"kind":"Status"}')
        return None

    api.before = faults
    for _ in range(60):
        present = sorted(names_of(api))
        match rng.randrange(5):
            case 0 | 1:
                if (name := f"p{rng.randrange(8)}") not in present:
                    make(api, name)
            case 2 if present:
                api.ok("DELETE", f"{IN_DEFAULT}/{rng.choice(present)}", {"gracePeriodSeconds": 0})
            case 3:
                api.world.compact()
        mirror.step()
        assert not {n for k, n in mirror.events if k == "DELETED"} - {f"p{i}" for i in range(8)}
    api.before = lambda *_: None
    mirror.step(4)
    items = api.ok("GET", IN_DEFAULT)["items"]
    assert mirror.objects == {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}


def test_of_objects_known_by_metadata_alone_nothing_more_is_sent(api: InProcess, clock: VirtualClock) -> None:
    accounts = Resource(name="accounts", path="/api/v1/serviceaccounts", metadata_only=True)
    path = "/api/v1/namespaces/default/serviceaccounts"
    reported: list[tuple[str, dict[str, Any]]] = []
    reflector = Reflector(
        accounts,
        api,
        clock=clock,
        rng=random.Random(1),
        on_event=lambda event, raw: reported.append((event, json.loads(bytes(raw)))),  # type: ignore[arg-type]
        on_synced=lambda: None,
    )
    for name in ("listed", "watched"):
        body = {"metadata": {"name": name, "labels": {"a": "b"}}, "automountServiceAccountToken": False}
        api.ok("POST", path, body)
        reflector.step()
    assert [(event, found["metadata"]["name"]) for event, found in reported] == [
        ("ADDED", "listed"),
        ("ADDED", "watched"),
    ]
    assert all(found["metadata"]["labels"] == {"a": "b"} for _, found in reported)
    assert not any("automountServiceAccountToken" in found for _, found in reported)
