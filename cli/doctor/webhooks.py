"""Admission webhooks: registered, reachable, with a certificate that the API server accepts, and no others' beside."""

import base64
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cli.doctor.finding import Finding, State, first_line
from cli.doctor.reads import listed
from common.clock import Clock
from common.kube.transport import Transport

AREA = "Webhooks"
ROOT = "/apis/admissionregistration.k8s.io/v1"
KINDS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
OURS = ".vpc-resource-controller.local"
"""How the names of our webhooks end; paths say nothing, many controllers have /mutate-v1-pod."""
REFERENCES = ".vpc.k8s.aws"
NEEDED = {
    f"mpod{OURS}": "pods get no branch interfaces and addresses",
    f"vpod{OURS}": "annotations are not guarded by it",
    f"vnode{OURS}": "aws-node may change whole nodes",
}
ENDS_SOON_DAYS = 14
CONNECT_SECONDS = 5.0
RENEW = "Renew it: cert-manager's Certificate vpc-rc-webhook, or vpc-rc webhook certificates"


class Endpoint(NamedTuple):
    """Where the API server calls a webhook."""

    host: str
    port: int
    bundle: bytes
    """PEM of the authorities that the API server accepts."""


def check(transport: Transport, clock: Clock) -> Iterator[Finding]:
    """Raises OutsideError where the configurations may not be read."""
    found = [
        (str(item["metadata"]["name"]), hook)
        for kind in KINDS
        for item in listed(transport, f"{ROOT}/{kind}")
        for hook in item.get("webhooks") or ()
    ]
    names = {str(hook.get("name", "")) for _, hook in found}
    for name, lost in NEEDED.items():
        if name in names:
            yield Finding(area=AREA, what=f"{name} registered")
        else:
            what, advice = f"{name} is not registered", f"kubectl apply -k deploy/webhook: without it {lost}"
            yield Finding(area=AREA, what=what, state=State.MISSING, advice=advice, where="webhook configurations")
    for configuration in sorted({where for where, hook in found if str(hook.get("name", "")).endswith(REFERENCES)}):
        yield Finding(
            area=AREA,
            what=f"{configuration} is the reference controller's",
            state=State.WRONG,
            where=configuration,
            advice="It refuses our workers' annotations. Delete it where the reference is switched off",
        )
    endpoints = {
        _endpoint(hook["clientConfig"]): configuration
        for configuration, hook in found
        if str(hook.get("name", "")).endswith(OURS)
    }
    for endpoint, configuration in endpoints.items():
        yield certificate(endpoint, configuration, clock)


def _endpoint(config: Mapping[str, Any]) -> Endpoint:
    bundle = base64.b64decode(config.get("caBundle") or "")
    if service := config.get("service"):
        return Endpoint(f"{service['name']}.{service['namespace']}.svc", int(service.get("port") or 443), bundle)
    url = urlsplit(str(config.get("url", "")))
    return Endpoint(url.hostname or "", url.port or 443, bundle)


def certificate(endpoint: Endpoint, where: str, clock: Clock) -> Finding:
    """The certificate of a webhook as the API server sees it."""
    what = f"certificate of {endpoint.host}:{endpoint.port}"

    def found(state: State, advice: str) -> Finding:
        return Finding(area=AREA, what=what, state=state, advice=advice, where=where)

    if not endpoint.bundle:
        return found(
            State.WRONG, "caBundle is empty: cert-manager's cainjector fills it, or deploy/webhook/self-signed"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Go, of which the API server is made: an intermediate in the bundle is trusted as it stands.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=endpoint.bundle.decode())
    except (ssl.SSLError, ValueError):
        return found(State.WRONG, "caBundle is no PEM certificate: the API server cannot call the webhook")
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as tls,
        ):
            ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return found(State.WRONG, f"The API server refuses it: {error.verify_message}. {RENEW}")
    except socket.gaierror:
        return found(State.UNKNOWN, "Its name is known within the cluster only: run doctor there (kubectl exec)")
    except OSError as error:
        return found(State.MISSING, f"Nobody serves it: {first_line(error)}. Look at the webhook's pods and logs")
    if (days := (ends - clock.now()) / 86400) < ENDS_SOON_DAYS:
        return found(State.WRONG, f"It ends in {days:.1f} days. {RENEW}")
    return Finding(area=AREA, what=f"{what}, {days:.0f} days left", where=where)
