"""`/healthz` (a restart would help), `/readyz` (knows the cluster) and `/metrics` over HTTP."""

from collections.abc import Callable

from common.exposition import exposition
from common.probes import Answer, Respond

_TEXT = "text/plain; charset=utf-8"

Problem = Callable[[], str | None]
"""What is wrong, None: nothing."""


def health(*, unhealthy: Problem, unready: Problem) -> Respond:
    """The answers for common.probes.Server."""

    def respond(path: str) -> Answer:
        if path == "/metrics":
            return exposition()
        if path not in ("/healthz", "/readyz"):
            return Answer(404, _TEXT, b"not found\n")
        problem = unhealthy() if path == "/healthz" else unready()
        return Answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())

    return respond
