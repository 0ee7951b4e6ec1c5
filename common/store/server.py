"""Which run of a Redis server answers."""

import redis

from common.model.errors import StoreUnavailable
from common.store.link import Link

UNFIT = (
    (
        "cluster",
        "cluster_enabled",
        "0",
        "Celery's transport has no cluster mode; use a primary, or Sentinel",
    ),
    ("memory", "maxmemory_policy", "noeviction", "it would drop locks and messages to make room; set it to noeviction"),
)
"""Section and field of INFO, the value that is needed, and why."""


class Server:
    """Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def ping(self) -> None:
        """Raises StoreUnavailable where Redis does not answer."""
        self._link.command("PING")

    def time(self) -> float:
        """Epoch seconds. Raises StoreUnavailable."""
        seconds, microseconds = self._link.command("TIME")
        return int(seconds) + int(microseconds) / 1e6

    def run_id(self) -> str | None:
        """Random for each start of a server (INFO, section "server"); another one means that Redis was restarted, or
        a replica took over, and may lack its last second of writes. None where that is not known: an ACL may forbid
        INFO. Raises StoreUnavailable."""
        try:
            answer = self._link.command("INFO", "server")
        except StoreUnavailable as error:
            if isinstance(error.__cause__, redis.exceptions.ResponseError):
                return None
            raise
        return str(answer["run_id"])

    def unfit(self) -> str | None:
        """Why work on this server would be lost, None where it would not, or where an ACL keeps it from us. Raises
        StoreUnavailable where it does not answer."""
        for section, field, wanted, why in UNFIT:
            try:
                answer = self._link.command("INFO", section)
            except StoreUnavailable as error:
                if isinstance(error.__cause__, redis.exceptions.ResponseError):
                    continue
                raise
            if (value := str(answer.get(field, wanted))) != wanted:
                return f"{field} is {value}: {why}"
        return None

    def lets_us_in(self) -> bool:
        """False: it wants another password, or any. Raises StoreUnavailable where it does not answer."""
        try:
            self._link.command("PING")
        except StoreUnavailable as error:
            if isinstance(error.__cause__, redis.AuthenticationError | redis.ResponseError):
                return False
            raise
        return True
