"""How many actions of a process are under way: what hangs does not take the threads of what does not."""

import threading
from collections.abc import Callable

import pytest

from common.model import actions as act
from common.model.actions import Action
from common.model.ids import AssociationId, BranchKey, ClientToken, EniId, NodeName, PodUid
from common.model.outcome import Done, Outcome
from common.model.terms import Room
from tests.unit.node.builders import leave
from workers.executor import ThreadExecutor
from workers.rooms import Rooms, Share, places

THREADS = 64


def release(number: int = 0) -> act.DisassociateBranch:
    key = BranchKey(f"b{number}")
    return act.DisassociateBranch(
        subject=f"branch/{key}",
        key=key,
        eni_id=EniId("eni-1"),
        association=AssociationId("a"),
        token=ClientToken("t"),
        warrant=leave(EniId("eni-1")),
    )


def annotation(number: int = 0) -> act.Annotate:
    uid = PodUid(f"p{number}")
    return act.Annotate(subject=f"annotate/{uid}", pod_uid=uid, namespace="n", name="p", annotation="a", value="v")


def permission() -> act.PermitInterface:
    return act.PermitInterface(subject="trunk", eni_id=EniId("eni-1"))


def admitted(rooms: Rooms, make: Callable[[], Action], tries: int = 2 * THREADS) -> int:
    return sum(rooms.enter(make()) for _ in range(tries))


@pytest.mark.parametrize("threads", [1, 2, 3, 16, 64])
def test_no_room_holds_more_than_half_and_releases_a_quarter(threads: int) -> None:
    for room in Room:
        assert 1 <= places(room, threads) <= max(1, threads // 2)
    assert places(Room.RELEASE, threads) <= max(1, threads // 4)


def test_releases_that_hang_leave_the_other_threads() -> None:
    rooms = Rooms(THREADS)
    assert admitted(rooms, release) == THREADS // 4
    assert admitted(rooms, annotation) == THREADS // 2


def test_a_node_whose_calls_hang_leaves_the_others_half_of_the_room() -> None:
    rooms = Rooms(THREADS)
    silent, other = Share(rooms), Share(rooms)
    assert sum(silent.enter(permission()) for _ in range(THREADS)) == THREADS // 4
    assert not silent.has_place(permission())
    assert silent.has_place(annotation())
    assert sum(other.enter(permission()) for _ in range(THREADS)) == THREADS // 4
    silent.leave(permission())
    assert silent.enter(permission())


def test_what_nobody_waits_for_does_not_take_the_room_of_annotations() -> None:
    rooms = Rooms(THREADS)
    confirmation = act.ConfirmGone(subject="pod/u", pod_uid=PodUid("u"), namespace="n", name="p")
    assert admitted(rooms, lambda: confirmation) == THREADS // 4
    assert admitted(rooms, annotation) == THREADS // 2


def test_no_more_actions_begin_than_there_are_threads() -> None:
    rooms = Rooms(THREADS)
    assert sum(admitted(rooms, make) for make in (annotation, permission, release)) == THREADS


def test_a_place_that_is_given_back_is_taken_again() -> None:
    rooms = Rooms(THREADS)
    admitted(rooms, release)
    assert not rooms.has_place(release())
    rooms.leave(release())
    assert rooms.has_place(release())
    assert admitted(rooms, release) == 1


def test_a_free_place_wakes_the_node_that_waits_longest_for_it() -> None:
    woken: list[NodeName] = []
    rooms = Rooms(4, woken.append)
    assert admitted(rooms, release, 2) == 1
    assert admitted(rooms, permission, 3) == 2
    for node, action in (("first", permission()), ("second", release()), ("third", release())):
        rooms.wait_for(NodeName(node), [action])
    rooms.leave(release())
    assert woken == ["second"]
    rooms.enter(release())
    rooms.leave(permission())
    assert woken == ["second", "first"]


def test_a_full_process_wakes_nodes_for_any_room() -> None:
    woken: list[NodeName] = []
    rooms = Rooms(2, woken.append)
    assert rooms.enter(permission())
    assert rooms.enter(annotation())
    rooms.wait_for(NodeName("n"), [release()])
    rooms.leave(permission())
    assert woken == ["n"]


def test_a_pool_of_threads_gives_places_back_when_actions_end() -> None:
    rooms, go_on = Rooms(4), threading.Event()

    def perform(action: Action) -> Outcome:
        assert go_on.wait(10)
        return Done()

    executor = ThreadExecutor(rooms, perform)
    hanging = [release(1), release(2)]
    assert [executor.admit(action) for action in hanging] == [True, False]
    executor.start(hanging[0])
    assert executor.admit(annotation())
    executor.dismiss([annotation()])
    assert executor.wait(0.0) == []
    go_on.set()
    assert executor.wait(10) == [(hanging[0], Done())]
    while not rooms.has_place(release()):  # The place is given back just after the outcome.
        threading.Event().wait(0.01)
