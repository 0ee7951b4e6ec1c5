"""Reads and writes of pods, and what their security groups are resolved from."""

import msgspec

from common.kube.calls import Calls
from common.kube.paths import path_of
from common.kube.project import PodFacts, bound_wish, pod_facts, policy
from common.kube.raw import Metadata
from common.kube.status import page_in
from common.model.errors import Unsure
from common.model.ids import NodeName, PodUid
from common.model.pod import PodWish
from common.model.policy import Policy

POLICIES_PER_PAGE = 500
PODS_PER_PAGE = 500
_NAMESPACES = "/api/v1/namespaces"
_POLICIES = "/apis/vpcresources.k8s.aws/v1beta1/namespaces"


class _Account(msgspec.Struct):
    metadata: Metadata


_ACCOUNT = msgspec.json.Decoder(_Account)
"""Made before there are threads: see common.kube.raw."""


class PodCalls(Calls):
    def get_pod(self, namespace: str, name: str) -> PodFacts | None:
        """The pod as the API server itself has it (not its cache). None only where the server says that there is no
        such pod. Raises OutsideError."""
        raw = self._read(_NAMESPACES, namespace, "pods", name)
        if raw is None:
            return None
        facts = pod_facts(raw)
        if facts is None:
            raise Unsure("MalformedPod", f"{namespace}/{name}")
        return facts

    def list_pods_on(self, node: NodeName, now: float) -> tuple[PodWish, ...]:
        """Pods bound to a node that ask for something of ours or carry one of our annotations, as the API server itself
        has them (without a resource version: not its cache); `now`: epoch seconds. Raises OutsideError."""
        query = {"fieldSelector": f"spec.nodeName={node}", "limit": str(PODS_PER_PAGE)}
        found: list[PodWish] = []
        while True:
            page = page_in(self._transport.request("GET", "/api/v1/pods", query=query))
            if page.items is None:
                raise Unsure("MalformedList", "no items")
            wishes = (bound_wish(raw, now) for raw in page.items)
            found.extend(wish for bound in wishes if bound is not None for name, wish in (bound,) if name == node)
            if not page.metadata.continue_:
                return tuple(found)
            query["continue"] = page.metadata.continue_

    def annotate_pod(
        self, namespace: str, name: str, uid: PodUid, key: str, value: str, *, resource_version: str | None = None
    ) -> None:
        """Write one annotation, through the pod's status: who may do that cannot change what the pod runs.
        Raises Conflict where the pod is another of the same name (or changed since
        `resource_version`, where given), NotFound where it is gone, OutsideError."""
        metadata: dict[str, object] = {"uid": uid, "annotations": {key: value}}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        self._patch(path_of(_NAMESPACES, namespace, "pods", name, "status"), name, {"metadata": metadata})

    def list_policies(self, namespace: str) -> tuple[Policy, ...]:
        """The namespace's SecurityGroupPolicies by name, malformed ones left out with a log line. Raises NotFound
        where their CRD does not exist, OutsideError."""
        path = path_of(_POLICIES, namespace, "securitygrouppolicies")
        query = {"limit": str(POLICIES_PER_PAGE)}
        found: list[Policy] = []
        while True:
            page = page_in(self._transport.request("GET", path, query=query))
            found.extend(p for raw in page.items or () if (p := policy(raw)) is not None)
            if not page.metadata.continue_:
                return tuple(sorted(found, key=lambda p: p.name))
            query["continue"] = page.metadata.continue_

    def service_account_labels(self, namespace: str, name: str) -> dict[str, str] | None:
        """None where there is no such service account. Raises OutsideError."""
        raw = self._read(_NAMESPACES, namespace, "serviceaccounts", name)
        if raw is None:
            return None
        try:
            return _ACCOUNT.decode(raw).metadata.labels or {}
        except (msgspec.DecodeError, ValueError) as error:
            raise Unsure("MalformedServiceAccount", str(error)) from error
