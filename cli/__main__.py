"""The program's first lines: from here on no signal is lost.

As process 1 of a container a process has no default action for SIGTERM, and the imports behind this take a second.
"""

import signal
import sys
from types import FrameType

SIGNALLED = 128
"""Plus the signal's number: the exit status by which shells tell of it."""


def main() -> None:
    """Runs the command and ends the process with its status."""
    signal.signal(signal.SIGTERM, _end)
    try:
        from cli.main import main as run  # only now: it imports for a while

        run()
    except KeyboardInterrupt:
        sys.exit(SIGNALLED + signal.SIGINT)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(SIGNALLED + number)


if __name__ == "__main__":
    main()
