"""Leader election against the sandbox's API server, on a virtual clock."""

import json
import random
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.kube.lease import STANDBY_SECONDS, Lease, LeaseTerms
from common.kube.transport import Request, Response
from common.model.errors import OutsideError, Unsure
from tests.kit.api import InProcess, cluster, cut
from tests.kit.clock import VirtualClock

PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cp-vpc-resource-controller"
TERMS = LeaseTerms(duration=30, renew_within=15, retry=5)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api(clock: VirtualClock) -> InProcess:
    return cluster(clock, definitions=False)


def candidate(api: InProcess, clock: VirtualClock, identity: str) -> Lease:
    return Lease(
        api,
        namespace="kube-system",
        name="cp-vpc-resource-controller",
        identity=identity,
        terms=TERMS,
        clock=clock,
        rng=random.Random(1),
    )


def spec(api: InProcess) -> dict[str, Any]:
    found: dict[str, Any] = api.ok("GET", PATH)["spec"]
    return found


class Ticks(threading.Event):
    """A stop signal whose waits pass virtual time; set after so many seconds, `then` run before each wait."""

    def __init__(self, clock: VirtualClock, seconds: float, then: Any = lambda: None) -> None:
        super().__init__()
        self.clock, self.until, self.then = clock, clock.time + seconds, then

    def wait(self, timeout: float | None = None) -> bool:
        self.then()
        self.clock.sleep(timeout or 0.0)
        if self.clock.time >= self.until:
            self.set()
        return self.is_set()


def test_the_first_one_makes_the_lease_in_client_gos_shape(api: InProcess, clock: VirtualClock) -> None:
    assert candidate(api, clock, "a").attempt()
    assert spec(api) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 30,
        "acquireTime": "2025-06-15T15:06:40.000000Z",
        "renewTime": "2025-06-15T15:06:40.000000Z",
        "leaseTransitions": 0,
    }


def test_a_renewal_keeps_the_time_of_acquisition(api: InProcess, clock: VirtualClock) -> None:
    a = candidate(api, clock, "a")
    a.attempt()
    clock.sleep(5)
    assert a.attempt()
    assert spec(api)["acquireTime"] == "2025-06-15T15:06:40.000000Z"
    assert spec(api)["renewTime"] == "2025-06-15T15:06:45.000000Z"
    assert spec(api)["leaseTransitions"] == 0


def test_another_waits_until_it_saw_the_lease_unchanged_for_its_duration(api: InProcess, clock: VirtualClock) -> None:
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    a.attempt()
    clock.sleep(3600)
    assert not b.attempt(), "the holder's clock may be an hour behind"
    clock.sleep(29)
    assert not b.attempt()
    clock.sleep(1)
    assert b.attempt()
    assert (spec(api)["holderIdentity"], spec(api)["leaseTransitions"]) == ("b", 1)
    assert not a.attempt()
    assert not a.held()


def test_a_lease_of_client_go_is_understood(api: InProcess, clock: VirtualClock) -> None:
    """As k8s.io/client-go writes one, and its released form."""
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "cp-vpc-resource-controller", "namespace": "kube-system"},
        "spec": {
            "holderIdentity": "reference_0b1",
            "leaseDurationSeconds": 2,
            "acquireTime": "2025-06-15T14:53:20.000000Z",
            "renewTime": "2025-06-15T15:06:40.000000Z",
            "leaseTransitions": 4,
        },
    }
    api.ok("POST", PATH.rsplit("/", 1)[0], body)
    b = candidate(api, clock, "b")
    assert not b.attempt()
    clock.sleep(2)
    assert b.attempt(), "the holder's own duration counts"
    assert spec(api)["leaseTransitions"] == 5


def test_a_released_lease_is_free_at_once(api: InProcess, clock: VirtualClock) -> None:
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    a.attempt()
    b.attempt()
    a.release()
    assert not a.held()
    assert (spec(api)["holderIdentity"], spec(api)["leaseDurationSeconds"]) == ("", 1)
    assert b.attempt()
    assert spec(api)["leaseTransitions"] == 1


def test_a_lease_of_another_is_not_released(api: InProcess, clock: VirtualClock) -> None:
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    a.attempt()
    b.release()
    assert spec(api)["holderIdentity"] == "a"


def test_of_two_at_once_one_wins(api: InProcess, clock: VirtualClock) -> None:
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    a.attempt()
    a.release()

    def rival(method: str, path: str, response: Response) -> Response:
        if method == "GET":
            api.after = lambda _method, _path, response: response
            assert b.attempt()
        return response

    api.after = rival
    assert not a.attempt()
    assert spec(api)["holderIdentity"] == "b"


def test_the_leader_that_cannot_renew_gives_up_in_time(api: InProcess, clock: VirtualClock) -> None:
    a = candidate(api, clock, "a")
    happened: list[tuple[str, float]] = []
    began = clock.time

    def started() -> None:
        happened.append(("started", clock.time - began))
        api.before = cut

    a.lead(Ticks(clock, 100), started, lambda: happened.append(("lost", clock.time - began)))
    (started_how, started_at), (lost_how, lost_at) = happened
    assert (started_how, started_at, lost_how) == ("started", 0, "lost")
    assert lost_at <= TERMS.renew_within
    assert not a.held()


def test_a_failure_shorter_than_the_deadline_costs_nothing(api: InProcess, clock: VirtualClock) -> None:
    a = candidate(api, clock, "a")
    began = clock.time
    lost: list[float] = []

    def then() -> None:
        api.before = cut if 20 < clock.time - began < 30 else lambda *_: None

    a.lead(Ticks(clock, 60, then), lambda: None, lambda: lost.append(clock.time))
    assert lost == []


def test_a_leader_that_slept_through_its_lease_knows_it_at_once(api: InProcess, clock: VirtualClock) -> None:
    a = candidate(api, clock, "a")
    assert a.attempt()
    held = [a.held()]
    clock.sleep(TERMS.renew_within)
    held.append(a.held())
    assert held == [True, False]


def test_a_lease_won_back_from_another_is_lost_all_the_same(api: InProcess, clock: VirtualClock) -> None:
    """What the other one wrote meanwhile is not known here."""
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    lost: list[float] = []

    def then() -> None:
        if clock.time < began + 6:
            return
        clock.sleep(40)
        b.attempt()
        clock.sleep(40)
        b.attempt()
        b.release()

    began = clock.time
    a.lead(Ticks(clock, 500, then), lambda: None, lambda: lost.append(clock.time))
    assert len(lost) == 1


@pytest.mark.parametrize("late", [0.0, 1.7, 4.9])
def test_a_standby_leads_soon_after_the_lease_of_a_dead_holder_ran_out(
    api: InProcess, clock: VirtualClock, late: float
) -> None:
    """`late`: when it begins to stand, before the holder's last renewal."""
    a, b = candidate(api, clock, "a"), candidate(api, clock, "b")
    a.attempt()
    renewed = clock.time + late

    def then() -> None:
        if clock.time >= renewed and not done:
            done.append(clock.time)
            a.attempt()

    done: list[float] = []
    led: list[float] = []
    b.lead(Ticks(clock, 60, then), lambda: led.append(clock.time), lambda: None)
    assert TERMS.duration <= led[0] - done[0] <= TERMS.duration + 2 * 1.2 * STANDBY_SECONDS


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_page_of_a_proxy_is_no_lease(api: InProcess, clock: VirtualClock, method: str) -> None:
    lease = candidate(api, clock, "a")
    if method == "PUT":
        assert candidate(api, clock, "earlier").attempt()
        assert not lease.attempt()
        clock.sleep(TERMS.duration)
    api.before = lambda verb, *_: Response(200, b"<html>sign in</html>") if verb == method else None
    with pytest.raises(Unsure):
        lease.attempt()
    assert not lease.held()


def test_stopping_releases(api: InProcess, clock: VirtualClock) -> None:
    a = candidate(api, clock, "a")
    lost: list[float] = []
    a.lead(Ticks(clock, 12), lambda: None, lambda: lost.append(clock.time))
    assert lost == []
    assert spec(api)["holderIdentity"] == ""


def test_every_call_has_a_short_time_out(clock: VirtualClock) -> None:
    timeouts: list[float] = []

    class Hanging(InProcess):
        def send(self, request: Request) -> Response:
            timeouts.append(request.timeout)
            clock.sleep(request.timeout)
            raise Unsure("ReadTimeoutError", "injected")

    a = candidate(Hanging(cluster(clock, definitions=False).world), clock, "a")
    for call in (a.attempt, a.release):
        with pytest.raises(OutsideError):
            call()
    assert all(timeout <= TERMS.retry for timeout in timeouts)


def test_a_standby_says_once_who_holds_the_lease(api: InProcess, clock: VirtualClock) -> None:
    assert candidate(api, clock, "first").attempt()
    standby = candidate(api, clock, "second")
    with capture_logs() as lines:
        for _ in range(3):
            assert not standby.attempt()
    (line,) = lines
    assert (line["event"], line["log_level"], line["holder"]) == ("lease_held_by_another", "info", "first")
    assert line["since"] == "2025-06-15T15:06:40.000000Z"
    assert standby.other_holder() == ("first", line["since"])


@pytest.mark.parametrize("idle", [True, False])
def test_a_lease_is_released_only_after_what_it_protects_is_over(
    api: InProcess, clock: VirtualClock, idle: bool
) -> None:
    a, b, holders = candidate(api, clock, "a"), candidate(api, clock, "b"), []

    def last_write() -> bool:
        clock.sleep(8)
        holders.append(spec(api)["holderIdentity"])
        return idle

    a.lead(Ticks(clock, 12), lambda: None, lambda: None, idle=last_write)
    assert holders == ["a"]
    b.attempt()
    clock.sleep(1)
    assert b.attempt() is idle


# --- a holder that is known to be dead


def believing(api: InProcess, clock: VirtualClock, identity: str, dead: set[str]) -> Lease:
    return Lease(
        api,
        namespace="kube-system",
        name="cp-vpc-resource-controller",
        identity=identity,
        terms=TERMS,
        clock=clock,
        rng=random.Random(1),
        is_dead=dead.__contains__,
    )


def test_the_lease_of_a_dead_holder_is_taken_within_a_look(api: InProcess, clock: VirtualClock) -> None:
    dead: set[str] = set()
    a, b = candidate(api, clock, "a"), believing(api, clock, "b", dead)
    assert a.attempt()
    died, led = clock.time + 3, list[float]()
    b.lead(
        Ticks(clock, 10, lambda: dead.update({"a"} if clock.time >= died else ())),
        lambda: led.append(clock.time),
        lambda: None,
    )
    assert 0 <= led[0] - died <= 2 * 1.2 * STANDBY_SECONDS
    assert spec(api)["leaseTransitions"] == 1


def test_of_two_that_take_it_from_a_dead_holder_one_wins(api: InProcess, clock: VirtualClock) -> None:
    assert candidate(api, clock, "a").attempt()
    b, c = believing(api, clock, "b", {"a"}), believing(api, clock, "c", {"a"})
    rivals: list[bool] = []

    def rival(method: str, path: str, response: Response) -> Response:
        if method == "GET" and not rivals:
            rivals.append(True)
            rivals.append(c.attempt())
        return response

    api.after = rival
    assert not b.attempt(), "what it read has changed since"
    assert rivals == [True, True]
    assert spec(api)["holderIdentity"] == "c"


def test_a_holder_that_only_seemed_dead_learns_that_it_leads_no_more(api: InProcess, clock: VirtualClock) -> None:
    a, b = candidate(api, clock, "a"), believing(api, clock, "b", {"a"})
    lost: list[float] = []
    taken: list[bool] = []

    def then() -> None:
        if clock.time > began + 7 and not taken:
            taken.append(b.attempt())

    began = clock.time
    a.lead(Ticks(clock, 60, then), lambda: None, lambda: lost.append(clock.time))
    assert taken == [True]
    assert lost
    assert lost[0] - began <= 7 + 2 * TERMS.retry + 1
    assert not a.held()


def test_a_holder_of_which_nothing_is_known_keeps_the_lease_for_its_time(api: InProcess, clock: VirtualClock) -> None:
    assert candidate(api, clock, "client-go_0b8c").attempt()
    b = believing(api, clock, "b", {"another"})
    for _ in range(int(TERMS.duration)):
        assert not b.attempt()
        clock.sleep(1)
    assert b.attempt()


ODD: dict[str, Any] = {
    "no object": "x", "a list": [1], "null": None, "empty": {},
    "numbers as text": {"holderIdentity": "b", "leaseDurationSeconds": "30", "leaseTransitions": "many"},
    "numbers beyond reason": {"holderIdentity": "b", "leaseDurationSeconds": -1, "leaseTransitions": 2**31 - 1},
    "no numbers": {"holderIdentity": "b", "leaseDurationSeconds": {"a": 1}, "leaseTransitions": [None]},
    "a holder that is no name": {"holderIdentity": {"a": "b"}, "renewTime": 7, "acquireTime": ["yesterday"]},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_whatever_a_lease_holds_it_runs_out_and_is_taken(api: InProcess, clock: VirtualClock, odd: Any) -> None:
    """A fault in it would end the thread that stands for it, in every watcher."""
    candidate(api, clock, "b").attempt()
    taken = False

    def read(method: str, path: str, answer: Response) -> Response:
        nonlocal taken
        taken = taken or method == "PUT"
        if method != "GET" or taken:
            return answer
        return Response(answer.status, json.dumps({**json.loads(answer.body), "spec": odd}).encode())

    a = candidate(api, clock, "a")
    api.after = read
    for _ in range(8):
        a.attempt()
        clock.sleep(5)
    assert a.held()
    held = spec(api)
    assert held["holderIdentity"] == "a"
    assert 0 <= held["leaseTransitions"] < 2**31, "no API server takes more"
    a.release()
