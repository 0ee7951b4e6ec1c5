"""Service accounts that the watch has not shown yet, asked for one by one: bounded, and fair between namespaces.

A user who may create pods can name accounts that do not exist, as fast as requests go. Only that user's namespace
waits: questions are asked by namespace in turn.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from common.logging import get_logger
from common.model.errors import OutsideError
from webhook.facts import Account, NoSuchAccount, Unreadable

AT_ONCE = 8
WAITING = 256
"""Questions that wait, over all namespaces; the one of the fullest namespace that waits longest makes way."""
PATIENCE_SECONDS = 5.0
"""Waiting included: less than an API server's patience with a webhook, so that the pod is refused and not let by."""

LookUp = Callable[[str, str], Mapping[str, str] | None]
"""A service account's labels by namespace and name, from the API server itself; None: there is none. Raises
OutsideError."""

_log = get_logger(__name__)


class LookUps:
    """Belongs to one event loop; the questions themselves are asked in threads."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-up")
        self._waiting: OrderedDict[str, OrderedDict[str, asyncio.Future[Account]]] = OrderedDict()
        """Questions by namespace and name, each in the order of arrival; the namespace whose turn it is comes first."""
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, namespace: str, name: str) -> Account:
        """The answer is at least as new as the question: one that is being asked already may miss an account that was
        made meanwhile, one that waits does not."""
        questions = self._waiting.setdefault(namespace, OrderedDict())
        answer = questions.get(name)
        if answer is None:
            answer = questions[name] = asyncio.get_running_loop().create_future()
            self._make_way()
            self._go_on()
        try:
            return await asyncio.wait_for(asyncio.shield(answer), PATIENCE_SECONDS)
        except TimeoutError:
            return Unreadable(why=f"the API server did not say within {PATIENCE_SECONDS:g} s whether it exists")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_way(self) -> None:
        if sum(map(len, self._waiting.values())) > WAITING:
            fullest = max(self._waiting, key=lambda namespace: len(self._waiting[namespace]))
            _, answer = self._next_of(fullest)
            answer.set_result(Unreadable(why="too many service accounts of its namespace are asked for"))

    def _go_on(self) -> None:
        while self._waiting and len(self._asking) < AT_ONCE:
            namespace = next(iter(self._waiting))
            name, answer = self._next_of(namespace)
            if namespace in self._waiting:
                self._waiting.move_to_end(namespace)
            task = asyncio.get_running_loop().create_task(self._ask(namespace, name, answer))
            self._asking.add(task)
            task.add_done_callback(self._done)

    def _next_of(self, namespace: str) -> tuple[str, asyncio.Future[Account]]:
        questions = self._waiting[namespace]
        oldest = questions.popitem(last=False)
        if not questions:
            del self._waiting[namespace]
        return oldest

    async def _ask(self, namespace: str, name: str, answer: asyncio.Future[Account]) -> None:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, namespace, name)
        except OutsideError as error:
            answer.set_result(Unreadable(why=str(error)))
        except Exception as fault:  # noqa: BLE001  # whoever asked has an answer, and the next question is asked
            _log.exception("look_up_failed", namespace=namespace, name=name)
            answer.set_result(Unreadable(why=f"{type(fault).__name__}: {fault}"))
        else:
            answer.set_result(NoSuchAccount() if found is None else found)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._go_on()
