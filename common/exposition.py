"""The server that shows a process' metrics."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.metrics import REGISTRY
from common.probes import Answer, Server


def exposition() -> Answer:
    """What `/metrics` shows."""
    return Answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))


def serve_metrics(port: int, address: str = "0.0.0.0") -> Server:
    """Serve `/metrics`, and the same at any other path; port 0 takes a free one. Raises OSError if the port is
    taken."""
    return Server(address, port, lambda _: exposition())
