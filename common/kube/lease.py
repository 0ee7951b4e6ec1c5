"""Leader election over a coordination.k8s.io Lease, as client-go does it, so that both can stand for the same lease.

Times written by others are never compared with our clock: a holder's lease has run out when *we* saw it unchanged for
its duration. The bundled elector of the official client has neither time-outs nor a release.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any, NamedTuple

import msgspec

from common.clock import Clock
from common.kube.paths import LEASE_VERSION, leases_in, path_of
from common.kube.status import answered, object_in
from common.kube.transport import Request, Transport
from common.logging import get_logger
from common.model.errors import OutsideError

RELEASED_SECONDS = 1
"""leaseDurationSeconds of a released lease, as client-go writes it."""
STANDBY_SECONDS = 0.5
"""Longest between two looks of a candidate: by so much it may learn late that the holder died or the lease ran out, and
so much longer the cluster has no leader."""
LARGEST_TRANSITIONS = 2**31 - 1

_log = get_logger(__name__)


class Holder(NamedTuple):
    """Who holds a lease."""

    name: str
    since: str
    """As the holder wrote it (RFC 3339), "" where it did not."""


NOBODY = Holder("", "")


class LeaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """All in seconds."""

    duration: float = 30.0
    """Others may take the lease when it was not renewed for so long."""
    renew_within: float = 15.0
    """The holder that could not renew for so long gives up."""
    retry: float = 5.0
    """Between the holder's renewals; also the longest that one call may take."""


class Lease:
    """One candidate. Not thread-safe, but for `held()`."""

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str,
        name: str,
        identity: str,
        terms: LeaseTerms,
        clock: Clock,
        rng: random.Random,
        is_dead: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`identity`: of this process, unlike that of any other, earlier ones included. `is_dead`: whether another
        holder, by its identity, is known to be dead; its lease is taken at once then. False where that is not known:
        the lease's own terms count. If it is wrong, the holder learns at its next renewal that it leads no more."""
        self._is_dead = is_dead
        self._transport, self._clock, self._rng = transport, clock, rng
        self._collection = leases_in(namespace)
        self._path = path_of(self._collection, name)
        self._name, self._namespace, self.identity, self._terms = name, namespace, identity, terms
        self._seen: tuple[object, ...] = ()
        self._seen_at = clock.monotonic()
        """Monotonic seconds at which the lease was last seen to change."""
        self._held_until = float("-inf")
        self._other = NOBODY
        """The candidate that was last seen to hold the lease in our place."""
        self._won = 0
        """How often the lease became ours, renewals apart."""

    def held(self) -> bool:
        """Whether we hold the lease now. False also in a holder that slept longer than the lease."""
        return self._clock.monotonic() < self._held_until

    def other_holder(self) -> Holder:
        """Who was last seen to hold the lease, NOBODY where it is ours."""
        return NOBODY if self.held() else self._other

    def attempt(self) -> bool:
        """Take or renew the lease. False: another holds it, or was faster. Raises OutsideError."""
        began = self._clock.monotonic()
        call_seconds = min(self._terms.retry, self._terms.renew_within / 2)
        response = self._transport.send(Request("GET", self._path, timeout=call_seconds))
        mine = False
        if response.status == 404:
            spec = self._spec({}, transitions=0)
            metadata = {"name": self._name, "namespace": self._namespace}
            body = {"apiVersion": LEASE_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
            response = self._transport.send(Request("POST", self._collection, body=body, timeout=call_seconds))
        else:
            found = object_in(response, self._name)
            old = _spec_of(found)
            holder = str(old.get("holderIdentity") or "")
            if holder not in ("", self.identity) and not self._ran_out(old) and not self._is_dead(holder):
                other = Holder(holder, str(old.get("acquireTime") or ""))
                if other != self._other:
                    self._other = other
                    _log.info("lease_held_by_another", lease=self._path, holder=other.name, since=other.since)
                self._held_until = float("-inf")
                return False
            mine = holder == self.identity
            transitions = _transitions(old) + (0 if mine else 1)
            found["spec"] = {**old, **self._spec(old if mine else {}, transitions)}
            # A PUT with the version that was read: of two candidates one gets a conflict.
            response = self._transport.send(Request("PUT", self._path, body=found, timeout=call_seconds))
        if response.status == 409:
            return False
        answered(response, self._name)
        self._held_until = began + self._terms.renew_within
        self._won += 0 if mine else 1
        return True

    def release(self) -> None:
        """Let others take the lease at once. Does nothing where it is not ours. Raises OutsideError."""
        self._held_until = float("-inf")
        response = self._transport.send(Request("GET", self._path, timeout=self._terms.retry))
        if response.status == 404:
            return
        found = object_in(response, self._name)
        old = _spec_of(found)
        if old.get("holderIdentity") != self.identity:
            return
        found["spec"] = {**self._spec({}, _transitions(old)), "holderIdentity": ""}
        found["spec"]["leaseDurationSeconds"] = RELEASED_SECONDS
        response = self._transport.send(Request("PUT", self._path, body=found, timeout=self._terms.retry))
        if response.status != 409:
            answered(response, self._name)

    def lead(
        self,
        stop: Event,
        on_started: Callable[[], None],
        on_lost: Callable[[], None],
        *,
        idle: Callable[[], bool] = lambda: True,
    ) -> None:
        """Stand for the lease until `stop`; then release it, once what it protects is over: `idle` waits for that, and
        says False where it cannot be waited for (then the lease runs out by itself). `on_started` is called once when
        it is ours, and must return soon. `on_lost` is called, and this returns, as soon as it could not be renewed in
        time."""
        leading = False
        while not stop.is_set():
            try:
                won = self.attempt()
            except OutsideError as error:
                won = False
                _log.warning("lease could not be read or written", lease=self._path, error=str(error))
            if won and not leading:
                leading, self._won = True, 1
                _log.info("lease acquired", lease=self._path, identity=self.identity)
                on_started()
            # Won again: another held it meanwhile, and may have written what we do not know of.
            if leading and (self._won > 1 or not self.held()):
                _log.error("lease lost", lease=self._path, identity=self.identity)
                on_lost()
                return
            stop.wait(self._pause(leading, won))
        if leading and not idle():
            _log.error("lease is not released: what it protects goes on", lease=self._path)
        elif leading:
            try:
                self.release()
            except OutsideError as error:
                _log.warning("lease could not be released", lease=self._path, error=str(error))

    def _pause(self, leading: bool, won: bool) -> float:
        """Seconds to the next attempt: never past the moment at which the lease is lost."""
        if leading and not won:
            return min(self._terms.retry / 5, max(0.0, self._held_until - self._clock.monotonic()))
        return self._terms.retry if leading else min(self._terms.retry, STANDBY_SECONDS) * self._rng.uniform(1.0, 1.2)

    def _ran_out(self, spec: dict[str, Any]) -> bool:
        now = self._clock.monotonic()
        seen = tuple(spec.get(key) for key in ("holderIdentity", "renewTime", "acquireTime", "leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at >= (_number(spec.get("leaseDurationSeconds")) or self._terms.duration)

    def _spec(self, old: dict[str, Any], transitions: int) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.now(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration)),
            "acquireTime": old.get("acquireTime") or now,
            "renewTime": now,
            # What fits no int32 the API server refuses, and the lease would be nobody's for good.
            "leaseTransitions": min(transitions, LARGEST_TRANSITIONS),
        }


def _spec_of(found: dict[str, Any]) -> dict[str, Any]:
    """The spec of a lease that anybody may have written; what is no object counts as empty."""
    spec = found.get("spec")
    return spec if isinstance(spec, dict) else {}


def _transitions(spec: dict[str, Any]) -> int:
    return int(_number(spec.get("leaseTransitions")))


def _number(value: object) -> float:
    """0 for what is none."""
    return float(value) if isinstance(value, int | float) and 0 <= value < float("inf") else 0.0
