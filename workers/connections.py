"""What a worker process connects to: EC2, the API server, and the way of its events."""

import socket
from dataclasses import dataclass

from common.clock import Clock, SystemClock
from common.ec2.api import Ec2
from common.ec2.client import account_id, build_invoke
from common.ec2.gate import OpenGate
from common.kube.api import Kube
from common.kube.events import EventSink
from common.kube.transport import API_SERVER, HttpTransport
from common.kube.transport import connect as connect_kube
from common.reach import Reach
from common.settings import Settings, require
from workers.build import options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    ec2: Ec2
    """Without a gate: each step has its own."""
    account: str
    kube: Kube
    events: EventSink
    reaches: tuple[Reach, ...]
    """Whether EC2 and the API server answer."""

    def away(self) -> str | None:
        """Which of them does not; None: both do, or are not asked."""
        return next((why for reach in self.reaches if (why := reach.problem())), None)


def check(settings: Settings) -> None:
    """Raises SettingsError where a needed setting is missing or cannot be used."""
    require(settings, "cluster_name", "vpc_id")
    options_of(settings)
    _kube_transport(settings, SystemClock())


def connect(settings: Settings, clock: Clock) -> Connections:
    """Raises OutsideError where credentials, region or account cannot be found out, or the API server's token is not
    there: to be tried again."""
    ec2_reach, api_reach = Reach("EC2"), Reach(API_SERVER)
    to_kube = _kube_transport(settings, clock, api_reach)
    to_kube.await_token()
    return Connections(
        ec2=Ec2(build_invoke(settings, ec2_reach), OpenGate(), vpc=settings.vpc_id),
        account=account_id(settings),
        kube=Kube(to_kube),
        # Events have a transport, and so a request budget, of their own: never in the way of the work.
        events=EventSink(_kube_transport(settings, clock, api_reach), clock=clock, host=socket.gethostname()),
        reaches=(ec2_reach, api_reach),
    )


def _kube_transport(settings: Settings, clock: Clock, reach: Reach | None = None) -> HttpTransport:
    return connect_kube(
        kubeconfig=settings.kubeconfig,
        context=settings.kube_context,
        clock=clock,
        qps=settings.kube_qps,
        burst=settings.kube_burst,
        reach=reach,
    )
