"""The Authorization header of our requests, as tokens rotate."""

import threading
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from common.clock import Clock
from common.logging import get_logger

READ_AGAIN_SECONDS = 60.0
"""As client-go: a token file is read again after this long. Projected tokens are replaced minutes before they end."""

_log = get_logger(__name__)


class Credentials:
    """Thread-safe. Where a token cannot be read again the last one goes on: it may still be valid, and where it is
    not, the API server's answer says so."""

    def __init__(self, configuration: Configuration, clock: Clock, token_file: Path | None = None) -> None:
        """`token_file`: as a kubeconfig names it; the client itself reads it only once."""
        self._configuration, self._clock, self._file = configuration, clock, token_file
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._value = ""
        self._problem = ""

    def headers(self) -> dict[str, str]:
        """Never raises: without a token the request goes without."""
        with self._lock:
            problem = ""
            try:
                self._value = self._current() or self._value
            except Exception as error:  # noqa: BLE001  # files, exec plugins, OIDC: whatever it is, the request goes on
                problem = f"{type(error).__name__}: {error}"
            if problem and problem != self._problem:
                _log.error("token_not_read", problem=problem, effect="the last token is used")
            self._problem = problem
            return {"Authorization": self._value} if self._value else {}

    def _current(self) -> str:
        if self._file is None:
            # The client refreshes expired tokens (exec plugins, service accounts) within auth_settings().
            setting = self._configuration.auth_settings().get("BearerToken")
            return str(setting["value"]) if setting and setting["value"] else ""
        now = self._clock.monotonic()
        if now - self._read_at < READ_AGAIN_SECONDS:
            return self._value
        token = self._file.read_text().strip()
        if not token:
            raise ConfigException(f"{self._file} is empty")
        self._read_at = now
        return f"Bearer {token}"


def token_file_of(kubeconfig: str | None, context: str | None) -> Path | None:
    """The token file that the kubeconfig's user names, which goes before a token beside it, as in client-go; None where
    there is none. Raises ConfigException."""
    config = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config
    if config is None or not config.safe_get("users"):
        return None
    named = config["contexts"].get_with_name(context or config["current-context"])["context"]
    user = named.safe_get("user") and config["users"].get_with_name(named["user"], safe=True)
    found = user and user["user"] and user["user"].safe_get("tokenFile")
    if not found:
        return None
    return Path(str(user.path)).parent / str(found)
