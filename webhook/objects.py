"""The fields of pods that reviews look at. All others are skipped, and patches never touch them."""

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from common.model.names import FARGATE_PROFILE, LABEL_OS, LABEL_OS_BETA

WINDOWS = "windows"
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
    os: OsName | None = None
    affinity: Affinity | None = None


class Pod(_Fields, frozen=True):
    metadata: Metadata = Metadata()
    spec: Spec = Spec()


class PodMetadataOnly(_Fields, frozen=True):
    metadata: Metadata | None = None


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
    if FARGATE_PROFILE in (pod.metadata.labels or {}):
        return PodClass.FARGATE
    return PodClass.WINDOWS if _is_windows(pod.spec) else PodClass.OTHER


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
    """An object is missing from a review, or cannot be decoded."""


def decode_object(raw: msgspec.Raw, into: type[T], what: str) -> T:
    """Raises NotAnObject."""
    if bytes(raw) in (b"", b"null"):
        raise NotAnObject(f"the review has no {what}")
    try:
        return msgspec.json.decode(raw, type=into)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise NotAnObject(f"{what} cannot be decoded: {error}") from error
