"""Who guards the annotations that pods are served by: the API server's own policy, the webhook, both or nobody."""

from collections.abc import Iterator, Mapping

from cli.doctor.finding import Finding, State
from common.kube.transport import Request, Transport

AREA = "Kubernetes"
ROOT = "/apis/admissionregistration.k8s.io/v1"
POLICY = "ValidatingAdmissionPolicy"
WEBHOOK = "webhook"
PARTS: Mapping[str, tuple[str, ...]] = {
    POLICY: (
        "validatingadmissionpolicies/vpc-rc-annotations",
        "validatingadmissionpolicybindings/vpc-rc-annotations",
        "validatingadmissionpolicies/vpc-rc-windows-addresses",
        "validatingadmissionpolicybindings/vpc-rc-windows-addresses",
    ),
    WEBHOOK: ("validatingwebhookconfigurations/vpc-rc-validating",),
}
"""What must be there for each of them to guard."""


def check(transport: Transport) -> Iterator[Finding]:
    """Reads only."""
    answers = {
        who: {transport.send(Request("GET", f"{ROOT}/{path}")).status for path in paths} for who, paths in PARTS.items()
    }
    guarding = [who for who, statuses in answers.items() if statuses == {200}]
    what = f"annotations guarded by {' and '.join(guarding) or 'nobody'}"
    if any(statuses & {401, 403} for statuses in answers.values()):
        advice = "Who runs this may not read the admission configurations: run it as an administrator"
        yield Finding(area=AREA, what="guard of annotations", state=State.UNKNOWN, advice=advice)
    elif POLICY in guarding:
        yield Finding(area=AREA, what=what)
    elif WEBHOOK in guarding and not _serves_policies(transport):
        yield Finding(area=AREA, what=f"{what} alone: this API server serves no {POLICY} (Kubernetes 1.30 does)")
    else:
        advice = "kubectl apply -k deploy/policy (Kubernetes 1.30): "
        advice += "while no webhook answers, whoever may patch or bind pods forges annotations"
        yield Finding(area=AREA, what=what, state=State.MISSING, advice=advice)


def _serves_policies(transport: Transport) -> bool:
    """By its own list; one that cannot be read proves nothing."""
    answer = transport.send(Request("GET", ROOT))
    return answer.status != 200 or b'"validatingadmissionpolicies"' in answer.body
