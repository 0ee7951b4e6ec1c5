"""A webhook process' parts, put together from the API server's transport, or a view of a test's own."""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from common import threads
from common.clock import Clock
from common.kube.api import Kube
from common.kube.transport import Transport
from webhook.facts import View
from webhook.review import Reviews
from webhook.server import ReviewServer
from webhook.view import ClusterView


class LiveView(View, Protocol):
    @property
    def missing(self) -> Sequence[str]:
        """What reviews need and is not known, in words."""
        ...


def view_of(transport: Transport, *, clock: Clock, rng: random.Random) -> ClusterView:
    return ClusterView(transport, Kube(transport).service_account_labels, clock=clock, rng=rng)


def build(
    view: LiveView,
    *,
    own_account: str,
    clock: Clock,
    certificate_problem: Callable[[], str | None] = lambda: None,
    unhealthy: Callable[[], str | None] = threads.died,
) -> ReviewServer:
    """`own_account`: the user name that our workers have. `certificate_problem`: why the certificate cannot serve.
    `unhealthy`: what only a restart cures."""

    def missing() -> Sequence[str]:
        problem = certificate_problem()
        return view.missing if problem is None else (problem, *view.missing)

    return ReviewServer(Reviews(view, own_account), clock=clock, missing=missing, unhealthy=unhealthy)
