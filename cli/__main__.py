"""The program's first lines: from here on no signal is lost.

As process 1 of a container a process has no default action for SIGTERM, and the imports behind this take a second.
"""

import os
import signal
import sys
from types import FrameType

SIGNALLED = 128
"""Plus the signal's number: the exit status by which shells tell of it."""


def main() -> None:
    """Runs the command and ends the process with its status."""
    signal.signal(signal.SIGTERM, _end_at_once)
    try:
        from cli.main import main as run  # only now: it imports for a while

        signal.signal(signal.SIGTERM, _end)
        run()
    except KeyboardInterrupt:
        sys.exit(SIGNALLED + signal.SIGINT)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    """Nothing has begun. An exception could be lost: one out of a callback of the import system is only printed."""
    os._exit(SIGNALLED + number)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(SIGNALLED + number)


if __name__ == "__main__":
    main()
