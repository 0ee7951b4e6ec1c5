"""`/healthz` (restart me), `/readyz` (I take messages, and Redis takes what I write) and `/metrics` of a worker."""

from common import threads
from common.exposition import exposition
from common.probes import Answer, Respond
from workers.progress import Progress

_TEXT = "text/plain; charset=utf-8"


def health(progress: Progress) -> Respond:
    """The answers for common.probes.Server."""

    def respond(path: str) -> Answer:
        if path == "/healthz":
            problem = progress.problem() or threads.died()
            return Answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())
        if path == "/readyz":
            problem = progress.unready()
            return Answer(503 if problem else 200, _TEXT, f"{problem or 'ok'}\n".encode())
        if path == "/metrics":
            return exposition()
        return Answer(404, _TEXT, b"not found\n")

    return respond
