"""A role of the product in which threads can be ended from outside: `python tests/integration/dying.py ROLE`, with a
thread's name in the file that DYING names. The interpreter raises in that thread what no handler catches."""

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

LOOK_SECONDS = 0.05


class Ended(BaseException):
    """By the test."""


def _obey(file: Path) -> None:
    ended = set[int]()
    while True:
        time.sleep(LOOK_SECONDS)
        wanted = file.read_text().split()
        for thread in threading.enumerate():
            if thread.name in wanted and thread.ident is not None and thread.ident not in ended:
                ended.add(thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Ended))


def _list(file: Path) -> None:
    """Names of the threads that live."""
    while True:
        time.sleep(LOOK_SECONDS)
        names = sorted(thread.name for thread in threading.enumerate())
        file.with_suffix(".new").write_text("\n".join(names))
        file.with_suffix(".new").rename(file.with_suffix(".live"))


if __name__ == "__main__":
    order = Path(os.environ["DYING"])
    for body in (_obey, _list):
        threading.Thread(target=body, args=(order,), name="of the test", daemon=True).start()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from cli.__main__ import main

    main()
