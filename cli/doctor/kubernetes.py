"""Kubernetes: reachable, our custom resources served, and what the present identity may do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.doctor.finding import Finding, State, first_line
from cli.doctor.permissions import CRD, VPC, Permission
from common.kube.transport import Response, Transport
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
    try:
        answer = transport.request("GET", "/version")
    except ControllerError as error:
        advice = f"{first_line(error)}. Check KUBECONFIG, or run it in a pod with a service account"
        yield Finding(area=AREA, what="API server", state=State.MISSING, advice=advice)
        return
    yield _reached(answer)
    for group, resource in SERVED:
        yield _served(transport, group, resource)
    for role, wanted in permissions.items():
        yield from _may(transport, role, wanted)


def _reached(answer: Response) -> Finding:
    if answer.status in (401, 403):
        advice = f"It answers {answer.status}: the credentials are not accepted"
        return Finding(area=AREA, what="API server", state=State.MISSING, advice=advice)
    version = _json(answer).get("gitVersion", "")
    return Finding(area=AREA, what=f"API server {version}".strip())


def _served(transport: Transport, group: str, resource: str) -> Finding:
    what = f"CustomResourceDefinition {resource}.{group.partition('/')[0]}"
    answer = transport.request("GET", f"/apis/{group}")
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
        answer = transport.request("POST", REVIEWS, body=review)
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
