"""Questions about service accounts under a flood of invented ones."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest

from common.model.errors import Unsure
from webhook import lookups
from webhook.facts import NoSuchAccount, Unreadable
from webhook.lookups import AT_ONCE, WAITING, LookUps

CALL_SECONDS = 0.02
INVENTED = 5000


class Api:
    """Knows one account in each namespace; each answer takes its time."""

    def __init__(self, seconds: float = CALL_SECONDS) -> None:
        self.seconds = seconds
        self.asked = Counter[tuple[str, str]]()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, namespace: str, name: str) -> Mapping[str, str] | None:
        with self._lock:
            self.asked[namespace, name] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)  # what a call takes
        with self._lock:
            self.at_once -= 1
        if name == "unsure":
            raise Unsure("Timeout", "too late")
        return {"team": "pay"} if name == "genuine" else None


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def asks(api: Api) -> Iterator[LookUps]:
    found = LookUps(api)
    yield found
    found.close()


async def flood(asks: LookUps, namespace_of: Callable[[int], str]) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(asks.ask(namespace_of(n), f"invented-{n}")) for n in range(INVENTED)]
    await asyncio.sleep(0)
    return tasks  # type: ignore[return-value]


@pytest.mark.parametrize(
    "namespace_of",
    [
        pytest.param(lambda _: "attacker", id="in one other namespace"),
        pytest.param(lambda n: f"attacker-{n % 5}", id="in a few other namespaces"),
        pytest.param(lambda n: f"attacker-{n}", id="each in a namespace of its own"),
        pytest.param(lambda _: "shop", id="in its own namespace"),
    ],
)
def test_a_genuine_question_does_not_wait_behind_invented_ones(
    asks: LookUps, api: Api, namespace_of: Callable[[int], str]
) -> None:
    async def scenario() -> None:
        flooding = await flood(asks, namespace_of)
        began = time.monotonic()
        assert await asks.ask("shop", "genuine") == {"team": "pay"}
        assert time.monotonic() - began < 2.5, "all of them one after the other take 12.5 s"
        assert api.most_at_once <= AT_ONCE
        for task in flooding:
            task.cancel()

    asyncio.run(scenario())


def test_what_does_not_exist_is_answered_so_under_a_flood(asks: LookUps) -> None:
    async def scenario() -> None:
        await flood(asks, lambda _: "attacker")
        assert isinstance(await asks.ask("shop", "absent"), NoSuchAccount)

    asyncio.run(scenario())


def test_so_many_wait_at_most_and_the_others_are_refused_at_once(asks: LookUps, api: Api) -> None:
    async def scenario() -> None:
        answers = await asyncio.gather(*await flood(asks, lambda _: "attacker"))
        refused = [answer for answer in answers if isinstance(answer, Unreadable)]
        assert len(refused) == INVENTED - WAITING - AT_ONCE
        assert "too many" in refused[0].why
        assert len(api.asked) == WAITING + AT_ONCE

    asyncio.run(scenario())


def test_a_question_that_waits_is_asked_once_for_all_and_one_under_way_is_asked_again(asks: LookUps, api: Api) -> None:
    async def scenario() -> None:
        first = asyncio.create_task(asks.ask("shop", "genuine"))
        await asyncio.sleep(CALL_SECONDS / 4)
        others = [asyncio.create_task(asks.ask("bank", f"other-{n}")) for n in range(AT_ONCE)]
        again = [asyncio.create_task(asks.ask("shop", "genuine")) for _ in range(10)]
        assert await asyncio.gather(first, *again) == [{"team": "pay"}] * 11
        await asyncio.gather(*others)
        assert api.asked["shop", "genuine"] == 2

    asyncio.run(scenario())


def test_an_api_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "PATIENCE_SECONDS", 0.1)
    asks = LookUps(Api(seconds=0.5))

    async def scenario() -> None:
        began = time.monotonic()
        found = await asks.ask("shop", "genuine")
        assert isinstance(found, Unreadable)
        assert time.monotonic() - began < 0.4

    asyncio.run(scenario())
    asks.close()


def test_what_goes_wrong_is_reported_in_its_own_words(asks: LookUps) -> None:
    found = asyncio.run(asks.ask("shop", "unsure"))
    assert isinstance(found, Unreadable)
    assert "too late" in found.why
