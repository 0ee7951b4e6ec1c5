"""The machine's clock as somebody has set it: so many seconds ahead as the file says that CLOCK_ERROR names. In the
PYTHONPATH of a process under test."""

import os
import time
from pathlib import Path

_error = Path(os.environ["CLOCK_ERROR"])
_right = time.time


def _wrong() -> float:
    return _right() + float(_error.read_text())


time.time = _wrong
