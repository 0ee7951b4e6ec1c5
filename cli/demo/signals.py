"""Signals that end the demo, without an exception at any line: between a process' start and our knowing its pid one
would leave it behind."""

import signal
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(Exception):
    """Ctrl-C, SIGTERM, or the terminal was closed."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Listener:
    """From now on these signals are only noted; all but the first are without effect."""

    def __init__(self) -> None:
        self._number: int | None = None
        for number in NUMBERS:
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raises Signalled where a signal came; asked in every loop."""
        if self._number is not None:
            raise Signalled(self._number)

    def ignore(self) -> None:
        """Everything has been ended: what comes now does not change the status that the process ends with. Handlers of
        Python itself are undone while the interpreter ends, these stay."""
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._number = self._number or number
