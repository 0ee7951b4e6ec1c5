"""The Authorization header of our requests, as tokens rotate."""

import threading
from collections.abc import Callable
from pathlib import Path

from common.clock import Clock
from common.logging import get_logger
from common.model.errors import Unsure

READ_AGAIN_SECONDS = 60.0
"""As client-go: a token file is read again after this long. Projected tokens are replaced minutes before they end."""
NOT_READ = "TokenNotRead"

_log = get_logger(__name__)


class Credentials:
    """Thread-safe. Where a token cannot be read again the last one goes on: it may still be valid, and where it is
    not, the API server's answer says so. Where a token file is named and was never read, nothing is asked: without the
    token we would be somebody else, who may see less."""

    def __init__(self, header: Callable[[], str], clock: Clock, token_file: Path | None = None) -> None:
        """`header()`: the header's value now, "" where there is none. `token_file` goes before it."""
        self._header, self._clock, self._file = header, clock, token_file
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._value = ""
        self._problem = ""

    def headers(self) -> dict[str, str]:
        """Raises Unsure while the token file was not read once. Without a file the request goes without a token."""
        with self._lock:
            problem = ""
            try:
                self._value = self._current() or self._value
            except Exception as error:  # noqa: BLE001  # files, exec plugins, OIDC: whatever it is, the request goes on
                problem = f"{type(error).__name__}: {error}"
            if problem and problem != self._problem:
                effect = "the last token is used" if self._value else "the API server is not asked"
                _log.error("token_not_read", problem=problem, effect=effect)
            self._problem = problem
            if self._file is not None and not self._value:
                raise Unsure(NOT_READ, problem)
            return {"Authorization": self._value} if self._value else {}

    def _current(self) -> str:
        if self._file is None:
            return self._header()
        now = self._clock.monotonic()
        if now - self._read_at < READ_AGAIN_SECONDS:
            return self._value
        token = self._file.read_text().strip()
        if not token:
            raise ValueError(f"{self._file} is empty")
        self._read_at = now
        return f"Bearer {token}"
