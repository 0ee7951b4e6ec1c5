"""Kubernetes: reachable, our custom resources served, and what the present identity may do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.doctor.finding import Finding, State, first_line
from cli.doctor.permissions import CRD, VPC, Permission
from common.kube.transport import Request, Response, Transport
from common.model.errors import ControllerError

AREA = "Kubernetes"
SERVED = (
    (f"{VPC}/v1beta1", "securitygrouppolicies"),
    (f"{VPC}/v1alpha1", "cninodes"),
    (f"{CRD}/v1alpha1", "eniconfigs"),
)
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check(transport: Transport, permissions: Mapping[str, Sequence[Permission]]) -> Iterator[Finding]:
    """`permissions` by role. Makes access reviews, which change nothing."""
    for group, resource in SERVED:
        yield _served(transport, group, resource)
    for role, wanted in permissions.items():
        yield from _may(transport, role, wanted)


def reach(transport: Transport, plugin: str | None) -> Finding:
    """Whether the API server answers, and knows who we are. `plugin`: the kubeconfig's command that gives credentials.

    anybody may read `/version`; the list of groups only those who have signed in."""
    try:
        version = _json(transport.send(Request("GET", "/version"))).get("gitVersion", "")
        status = transport.send(Request("GET", "/apis")).status
    except ControllerError as error:
        advice = f"{first_line(error)}. Check KUBECONFIG, or run it in a pod with a service account"
        return Finding(area=AREA, what="API server", state=State.MISSING, advice=advice)
    what = f"API server {version}".strip()
    if status not in (401, 403):
        return Finding(area=AREA, what=what)
    given = f"exec plugin {plugin!r}" if plugin else "token or certificate"
    advice = f"It answers {status}: the credentials of the {given} are not accepted. "
    advice += "Check the context, the time of the token, and the cluster's access entries (or aws-auth)"
    return Finding(area=AREA, what=f"{what}: not signed in", state=State.MISSING, advice=advice, where="GET /apis")


def no_credentials(plugin: str) -> Finding:
    """The kubeconfig's plugin failed."""
    advice = f"Run {plugin!r} by hand: it must be in the PATH and print an ExecCredential (in a pod use the service"
    advice += " account: no KUBECONFIG)"
    what = f"exec plugin {plugin!r} of the kubeconfig gave no credentials"
    return Finding(area=AREA, what=what, state=State.MISSING, advice=advice, where="kubeconfig")


def _served(transport: Transport, group: str, resource: str) -> Finding:
    what = f"CustomResourceDefinition {resource}.{group.partition('/')[0]}"
    answer = transport.send(Request("GET", f"/apis/{group}"))
    if answer.status not in (200, 404):
        advice = f"The API server answers {answer.status}: whether it is served is not known"
        return Finding(area=AREA, what=what, state=State.UNKNOWN, advice=advice, where=f"GET /apis/{group}")
    names = {one.get("name") for one in _json(answer).get("resources", ())}
    if resource in names:
        return Finding(area=AREA, what=what)
    return Finding(area=AREA, what=what, state=State.MISSING, advice="kubectl apply -k deploy/crds")


def _may(transport: Transport, role: str, wanted: Sequence[Permission]) -> Iterator[Finding]:
    """One line where everything is granted, else one for each permission that is not."""
    missing = False
    for permission in wanted:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "verb": permission.verb,
                    "group": permission.group,
                    "resource": permission.resource,
                    "subresource": permission.subresource,
                    "namespace": permission.namespace,
                    "name": permission.name,
                }
            },
        }
        answer = transport.send(Request("POST", REVIEWS, body=review))
        if answer.status >= 300:
            advice = f"The API server takes no access reviews ({answer.status})"
            yield Finding(area=AREA, what=f"{role}: permissions", state=State.UNKNOWN, advice=advice)
            return
        if not _json(answer).get("status", {}).get("allowed"):
            missing = True
            advice = f"kubectl apply -k deploy/base, and run as its service account vpc-rc-{role}"
            yield Finding(area=AREA, what=f"{role}: {permission}", state=State.MISSING, advice=advice)
    if not missing:
        yield Finding(area=AREA, what=f"{role}: {len(wanted)} permissions")


def _json(answer: Response) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
