"""The webhook's process."""

import asyncio
import contextlib
import random
import signal

from common.clock import SystemClock
from common.exposition import serve_metrics
from common.kube.transport import connect
from common.logging import get_logger
from common.settings import Settings, SettingsError, listening, variable
from webhook.build import build, view_of
from webhook.tls import BadCertificate, Certificate

DRAIN_SECONDS = 5.0
"""Between SIGTERM and the end of listening: until every API server has heard that this replica is not ready."""
PATIENCE_SECONDS = 10.0
"""For reviews under way, longer than any takes."""

_log = get_logger(__name__)


def main(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; then the process' exit status, 0. Raises SettingsError, also where a port is
    taken."""
    asyncio.run(serve(settings))
    return 0


async def serve(settings: Settings, drain_seconds: float = DRAIN_SECONDS) -> None:
    """Raises SettingsError, also where a port is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    try:
        certificate = Certificate(
            settings.webhook_cert_file, settings.webhook_key_file,
            client_ca_file=settings.webhook_client_ca_file, clock=clock,
        )  # fmt: skip
    except BadCertificate as error:
        fields = ["webhook_cert_file", "webhook_key_file"]
        fields += ["webhook_client_ca_file"] if settings.webhook_client_ca_file else []
        given = ", ".join(f"{variable(field)}={str(getattr(settings, field))!r}" for field in fields)
        raise SettingsError([f"{given}: {error}"]) from error
    transport = connect(kubeconfig=settings.kubeconfig, context=settings.kube_context, clock=clock)
    view = view_of(transport, clock=clock, rng=random.Random())
    server = build(view, own_account=settings.service_account, clock=clock, certificate_problem=certificate.problem)
    with contextlib.ExitStack() as stack:
        stack.callback(view.close)
        if settings.metrics_port:
            with listening(variable("metrics_port"), settings.metrics_port):
                stack.callback(serve_metrics(settings.metrics_port, settings.listen_address).close)
        view.start()
        with listening(variable("webhook_port"), settings.webhook_port):
            port = await server.start(settings.listen_address, settings.webhook_port, certificate.context)
        _log.info("webhook serves", port=port)
        follow, stopped = asyncio.create_task(certificate.follow()), asyncio.create_task(stop.wait())
        await asyncio.wait((follow, stopped), return_when=asyncio.FIRST_COMPLETED)
        _log.info("webhook stops")
        await server.close(drain_seconds, PATIENCE_SECONDS)
        if follow.done():
            # A certificate that nobody renews would serve until it expires.
            follow.result()
        follow.cancel()
