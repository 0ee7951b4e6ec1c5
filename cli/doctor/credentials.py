"""The way to the API server, and whether it knows who we are."""

from cli.doctor import kubernetes
from cli.doctor.finding import BAD, Finding, State, first_line
from common.clock import Clock
from common.kube.access import in_cluster
from common.kube.client_access import exec_plugin_of
from common.kube.transport import HttpTransport, NoCluster, connect
from common.settings import Settings


def sign_in(settings: Settings, clock: Clock) -> tuple[HttpTransport | None, list[Finding]]:
    """None where nothing can be asked."""
    try:
        transport = connect(kubeconfig=settings.kubeconfig, context=settings.kube_context, clock=clock)
    except NoCluster as error:
        advice = f"{first_line(error)}. Set KUBECONFIG, or run it in a pod with a service account"
        return None, [Finding(area=kubernetes.AREA, what="kubeconfig", state=State.MISSING, advice=advice)]
    plugin = None
    if settings.kubeconfig is not None or in_cluster(1) is None:
        file = str(settings.kubeconfig) if settings.kubeconfig is not None else None
        plugin = exec_plugin_of(file, settings.kube_context or None)
    if plugin and not transport.identified():
        return None, [kubernetes.no_credentials(plugin)]
    finding = kubernetes.reach(transport, plugin)
    return (None if finding.state in BAD else transport), [finding]
