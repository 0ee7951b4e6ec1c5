"""Reads and writes of pods, and what their security groups are resolved from."""

import msgspec

from common.kube.calls import Calls, pages
from common.kube.decode import PodFacts, bound_request, pod_facts, policy
from common.kube.paths import NAMESPACES, PODS, path_of, policies_in
from common.kube.raw import Metadata
from common.model.errors import Unsure
from common.model.ids import NodeName, PodUid
from common.model.pod import PodRequest
from common.model.policy import Policy


class _Account(msgspec.Struct):
    metadata: Metadata


_ACCOUNT = msgspec.json.Decoder(_Account)
"""Made before there are threads: see common.kube.raw."""


class PodCalls(Calls):
    def get_pod(self, namespace: str, name: str) -> PodFacts | None:
        """The pod as the API server itself has it (not its cache). None only where the server says that there is no
        such pod. Raises OutsideError."""
        raw = self._read(NAMESPACES, namespace, "pods", name)
        if raw is None:
            return None
        facts = pod_facts(raw)
        if facts is None:
            raise Unsure("MalformedPod", f"{namespace}/{name}")
        return facts

    def list_pods_on(self, node: NodeName, now: float) -> tuple[PodRequest, ...]:
        """Pods bound to a node that ask for something of ours or carry one of our annotations, as the API server itself
        has them (without a resource version: not its cache); `now`: epoch seconds. Raises OutsideError."""
        found: list[PodRequest] = []
        for page in pages(self._transport, PODS, {"fieldSelector": f"spec.nodeName={node}"}):
            if page.items is None:
                raise Unsure("MalformedList", "no items")
            bound = (bound_request(raw, now) for raw in page.items)
            found.extend(one[1] for one in bound if one is not None and one[0] == node)
        return tuple(found)

    def annotate_pod(
        self, namespace: str, name: str, uid: PodUid, key: str, value: str, *, resource_version: str | None = None
    ) -> None:
        """Write one annotation, through the pod's status: that right does not allow changing what the pod runs.
        Raises Conflict where the pod is another of the same name (or changed since
        `resource_version`, where given), NotFound where it is gone, OutsideError."""
        metadata: dict[str, object] = {"uid": uid, "annotations": {key: value}}
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        self._patch(path_of(NAMESPACES, namespace, "pods", name, "status"), name, {"metadata": metadata})

    def list_policies(self, namespace: str) -> tuple[Policy, ...]:
        """The namespace's SecurityGroupPolicies by name, malformed ones left out with a log line. Raises NotFound
        where their CRD does not exist, OutsideError."""
        listed = pages(self._transport, policies_in(namespace))
        found = [one for page in listed for raw in page.items or () if (one := policy(raw)) is not None]
        return tuple(sorted(found, key=lambda p: p.name))

    def service_account_labels(self, namespace: str, name: str) -> dict[str, str] | None:
        """None where there is no such service account. Raises OutsideError."""
        raw = self._read(NAMESPACES, namespace, "serviceaccounts", name)
        if raw is None:
            return None
        try:
            return _ACCOUNT.decode(raw).metadata.labels or {}
        except (msgspec.DecodeError, ValueError) as error:
            raise Unsure("MalformedServiceAccount", str(error)) from error
