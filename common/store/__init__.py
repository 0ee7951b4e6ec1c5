"""The door to Redis: desired state, ledgers, locks, wake-ups, snapshots, the shared rate limiter, and publishing tasks.

The only place that knows Redis keys. Redis is disposable: where it was emptied every read says "not known".
"""

from common import tracing

with tracing.unseen():
    import redis  # noqa: F401  # before anything else of this package imports it

from common.store.connect import connect
from common.store.store import Store, open_store

__all__ = ["Store", "connect", "open_store"]
