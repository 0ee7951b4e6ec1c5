"""The fields of pods that reviews look at. All others are skipped, and patches never touch them."""

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from common.model.names import FARGATE_GROUPS, FARGATE_PROFILE, LABEL_OS, LABEL_OS_BETA, POD_ENI, PRIVATE_IPV4

WINDOWS = "windows"
FARGATE_SCHEDULER = "fargate-scheduler"
T = TypeVar("T")


class _Fields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """null counts as left out."""


class Metadata(_Fields, frozen=True):
    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Resources(_Fields, frozen=True):
    limits: dict[str, Any] | None = None
    requests: dict[str, Any] | None = None


class Container(_Fields, frozen=True):
    resources: Resources | None = None


class OsName(_Fields, frozen=True):
    name: str | None = None


class Expression(_Fields, frozen=True):
    key: str | None = None
    operator: str | None = None
    values: tuple[str, ...] | None = None

    @property
    def demands_windows(self) -> bool:
        return self.key in (LABEL_OS, LABEL_OS_BETA) and self.operator == "In" and set(self.values or ()) == {WINDOWS}


class Term(_Fields, frozen=True):
    match_expressions: tuple[Expression, ...] | None = None

    @property
    def demands_windows(self) -> bool:
        return any(expression.demands_windows for expression in self.match_expressions or ())


class NodeSelector(_Fields, frozen=True):
    node_selector_terms: tuple[Term, ...] | None = None

    @property
    def demands_windows(self) -> bool:
        """Terms are alternatives: each must demand it."""
        terms = self.node_selector_terms or ()
        return bool(terms) and all(term.demands_windows for term in terms)


class NodeAffinity(_Fields, frozen=True):
    required: NodeSelector | None = msgspec.field(name="requiredDuringSchedulingIgnoredDuringExecution", default=None)


class Affinity(_Fields, frozen=True):
    node_affinity: NodeAffinity | None = None


class Spec(_Fields, frozen=True):
    containers: tuple[Container, ...] | None = None
    host_network: bool | None = None
    node_selector: dict[str, str] | None = None
    service_account_name: str | None = None
    scheduler_name: str | None = None
    node_name: str | None = None
    os: OsName | None = None
    affinity: Affinity | None = None


class Pod(_Fields, frozen=True):
    metadata: Metadata = Metadata()
    spec: Spec = Spec()


class GuardedAnnotations(_Fields, frozen=True, omit_defaults=True):
    """The others are not kept: a review of many annotations costs no memory."""

    pod_eni: str | msgspec.UnsetType = msgspec.field(name=POD_ENI, default=msgspec.UNSET)
    private_ipv4: str | msgspec.UnsetType = msgspec.field(name=PRIVATE_IPV4, default=msgspec.UNSET)
    fargate_groups: str | msgspec.UnsetType = msgspec.field(name=FARGATE_GROUPS, default=msgspec.UNSET)

    def by_key(self) -> dict[str, str]:
        """Those that are there, empty values included."""
        found = {POD_ENI: self.pod_eni, PRIVATE_IPV4: self.private_ipv4, FARGATE_GROUPS: self.fargate_groups}
        return {key: value for key, value in found.items() if not isinstance(value, msgspec.UnsetType)}


class GuardedMetadata(_Fields, frozen=True):
    annotations: GuardedAnnotations | None = None


class GuardedPod(_Fields, frozen=True):
    metadata: GuardedMetadata | None = None


class TypeMeta(_Fields, frozen=True):
    """What an object says that it is."""

    api_version: str | None = None
    kind: str | None = None


class PodClass(StrEnum):
    """What decides how a pod is served; the order of the questions matters."""

    FARGATE = "fargate"
    HOST_NETWORK = "host network"
    """Also Fargate pods on the host's network: nothing is done for them."""
    WINDOWS = "windows"
    OTHER = "other"


def classify(pod: Pod) -> PodClass:
    if pod.spec.host_network:
        return PodClass.HOST_NETWORK
    if FARGATE_PROFILE in (pod.metadata.labels or {}) and _may_be_on_fargate(pod.spec):
        return PodClass.FARGATE
    return PodClass.WINDOWS if _is_windows(pod.spec) else PodClass.OTHER


def _may_be_on_fargate(spec: Spec) -> bool:
    """The label alone is anybody's to write. EKS' own webhook, which is asked before ours, names Fargate's scheduler
    too; the API server fills in another one where nobody did. Nobody but that scheduler binds to Fargate."""
    return not spec.node_name and spec.scheduler_name in (None, "", FARGATE_SCHEDULER)


def _is_windows(spec: Spec) -> bool:
    """By node selector; else by `spec.os`, or by a node affinity that leaves nothing else: such a pod would wait for
    ever with a resource that only Linux nodes have."""
    selector = spec.node_selector or {}
    if WINDOWS in (selector.get(LABEL_OS), selector.get(LABEL_OS_BETA)):
        return True
    if spec.os is not None and spec.os.name == WINDOWS:
        return True
    affinity = spec.affinity.node_affinity if spec.affinity else None
    return affinity is not None and affinity.required is not None and affinity.required.demands_windows


class NotAnObject(Exception):
    """An object is missing from a review, is of another kind, or cannot be decoded."""


def decode_object(raw: msgspec.Raw, into: type[T], what: str) -> T:
    """Raises NotAnObject."""
    if bytes(raw) in (b"", b"null"):
        raise NotAnObject(f"the review has no {what}")
    try:
        return msgspec.json.decode(raw, type=into)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise NotAnObject(f"{what} cannot be decoded: {error}") from error


def check_kind(raw: msgspec.Raw, kind: str, what: str) -> None:
    """Raises NotAnObject where an object says that it is no core/v1 object of this kind, or is missing."""
    said = decode_object(raw, TypeMeta, what)
    if (said.api_version or "v1") != "v1" or (said.kind or kind) != kind:
        raise NotAnObject(f"{what} is {said.api_version or ''} {said.kind or ''}, not v1 {kind}")
