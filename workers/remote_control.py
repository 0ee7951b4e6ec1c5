"""What a worker answers to Celery's remote control: questions only.

Any client of the broker (Flower is one) could otherwise end workers, shrink their pools or take them off queues:
Redis cannot tell a question from an order, since both are published on one channel.
"""

from typing import Any

from celery.worker.control import Panel

QUESTIONS = frozenset(
    {"active", "active_queues", "conf", "ping", "registered", "reserved", "revoked", "scheduled", "stats"}
)
"""What Flower asks; `conf` has no passwords. `report`, `memsample`, `memdump` and `objgraph` are questions,
too, but cost memory and time."""


def restrict() -> None:
    """Have this process' workers refuse every other command, from now on."""
    for name in Panel.data.keys() - QUESTIONS:
        Panel.data[name] = _refuse


def _refuse(_state: Any, **_arguments: Any) -> Any:
    return {"error": "workers take no orders over the broker"}
