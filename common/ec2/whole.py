"""Time-outs over whole answers: the SDK's own end a silence, but not an answer that comes a byte at a time."""

import time
from collections.abc import Iterator

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

PIECE_BYTES = 65536


class _Body:
    """What `AWSResponse` reads a body from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class WholeAnswers:
    """Sends a client's requests (register for its event `before-send`) and reads each answer to its end, in `seconds`
    all in all. Raises the SDK's ReadTimeoutError. Thread-safe."""

    def __init__(
        self, endpoint: str, *, connect: float, silence: float, seconds: float, connections: int, ca_bundle: str | None
    ) -> None:
        self._seconds = seconds
        self._http = URLLib3Session(
            verify=ca_bundle or True,  # type: ignore[arg-type]  # the stubs miss the path
            proxies=get_environ_proxies(endpoint),
            timeout=(connect, silence),  # type: ignore[arg-type]  # the stubs miss the pair
            max_pool_connections=connections,
        )

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        until = time.monotonic() + self._seconds
        request.stream_output = True
        answer = self._http.send(request)
        body = bytearray()
        while piece := answer.raw.read1(PIECE_BYTES):
            body += piece
            if time.monotonic() > until:
                answer.raw.close()
                raise ReadTimeoutError(endpoint_url=request.url)
        answer.raw.release_conn()
        return AWSResponse(request.url, answer.status_code, answer.raw.headers, _Body(bytes(body)))
