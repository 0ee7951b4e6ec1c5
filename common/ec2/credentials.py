"""Credentials that expire, fetched by one thread for all that need them.

The SDK fetches them under a lock of its own, in each thread that signs: where STS does not answer, threads would wait
behind each other, each for its own time-out.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.credentials import Credentials, RefreshableCredentials

from common.logging import get_logger
from common.model.errors import Denied, OutsideError, Unsure

NEEDED_SECONDS = 600
"""With less than this left of them the SDK signs nothing before it has fetched new ones."""

_log = get_logger(__name__)


class Fresh:
    """Thread-safe. `translate` makes our errors of the SDK's."""

    def __init__(self, credentials: Credentials | None, translate: Callable[[Exception], OutsideError | None]) -> None:
        self._credentials: Any = credentials
        """Partly untyped in the SDK's stubs."""
        self._translate = translate
        self._lock = threading.Lock()
        self._failed: tuple[float, OutsideError] | None = None
        """When the last try failed (monotonic), and why; None: it did not."""

    def check(self) -> None:
        """Fetch credentials where they are needed now. Callers that waited for another's attempt share its outcome.
        Raises OutsideError."""
        if not self._needed():
            return
        began = time.monotonic()
        with self._lock:
            if not self._needed():
                return
            if self._failed is not None and self._failed[0] >= began:
                raise self._failed[1]
            try:
                self._credentials.get_frozen_credentials()
            except Exception as error:
                ours = self._ours(error)
                self._failed = (time.monotonic(), ours)
                seconds = round(time.monotonic() - began, 1)
                _log.warning("credentials_not_fetched", method=self._credentials.method, seconds=seconds, why=str(ours))
                raise ours from error
            self._failed = None

    def _needed(self) -> bool:
        if not isinstance(self._credentials, RefreshableCredentials):
            return False
        return bool(self._credentials.refresh_needed(NEEDED_SECONDS))

    def _ours(self, error: Exception) -> OutsideError:
        if isinstance(error, RuntimeError):
            # Fetched, and expired already: the SDK has no class for it.
            return Denied("CredentialsExpired", f"{error} Is this machine's clock right?")
        return self._translate(error) or Unsure(type(error).__name__, str(error))
