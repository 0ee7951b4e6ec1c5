"""`/healthz` (restart me), `/readyz` (I take messages, and Redis takes what I write) and `/metrics` of a worker."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import metrics
from workers.progress import Progress
from workers.server import Answer, Respond

_TEXT = "text/plain; charset=utf-8"


def health(progress: Progress) -> Respond:
    """The answers for workers.server.Server."""

    def respond(path: str) -> Answer:
        if path == "/healthz":
            problem = progress.problem()
            return Answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())
        if path == "/readyz":
            problem = progress.unready()
            return Answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())
        if path == "/metrics":
            return Answer(200, CONTENT_TYPE_LATEST, generate_latest(metrics.REGISTRY))
        return Answer(404, _TEXT, b"not found\n")

    return respond
