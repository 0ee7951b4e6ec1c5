"""Time-outs over whole answers: the SDK's own end a silence, but not an answer that comes a byte at a time."""

import threading
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from common.deadline import POOLS


class _Http(URLLib3Session):
    """The SDK's HTTP client, but that its read time-out is one for a whole answer, headers included."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._pool_classes_by_scheme = POOLS
        """Of proxies, too."""
        self._manager.pool_classes_by_scheme = POOLS  # type: ignore[attr-defined]  # the stubs miss it


class WholeAnswers:
    """Sends requests of clients (register for the event `before-send`) and reads each answer to its end: all in all
    `connect` and `seconds` at most. Raises the SDK's ConnectTimeoutError and ReadTimeoutError. Thread-safe."""

    def __init__(self, *, connect: float, seconds: float, connections: int, ca_bundle: str | None) -> None:
        self._connect, self._seconds = connect, seconds
        self._connections = connections
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._clients: dict[str, _Http] = {}
        """By endpoint: proxies are the endpoint's."""

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        # Not the SDK's own time-out of this one request.
        request.context = {}  # type: ignore[attr-defined]  # the stubs miss it
        return self._client(request.url).send(request)

    def _client(self, url: str) -> _Http:
        parts = urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if endpoint not in self._clients:
                self._clients[endpoint] = _Http(
                    verify=self._ca_bundle or True,
                    proxies=get_environ_proxies(endpoint),
                    timeout=(self._connect, self._seconds),
                    max_pool_connections=self._connections,
                )
            return self._clients[endpoint]
