"""From an AdmissionReview to its answer: reads what the decision needs from the view, and decides.

Whatever the review holds, there is an answer; it repeats the review's uid.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from webhook.envelope import ALLOW, Request, Verdict, bad, decode_review, encode_review
from webhook.facts import NoSuchKind, Unreadable, View
from webhook.mutation import mutate_by_policies, mutate_windows
from webhook.objects import GuardedPod, NotAnObject, Pod, PodClass, check_kind, classify, decode_object
from webhook.validation import VPC_CNI, validate_created, validate_node, validate_updated

MUTATE_POD = "/mutate-v1-pod"
VALIDATE_POD = "/validate-v1-pod"
VALIDATE_NODE = "/validate-v1-node"
LARGEST_NODE = 1024 * 1024
"""Bytes of a Node as JSON, ten times a usual one: decoded whole it takes twenty times its size in memory."""


class Reviews:
    """The three reviews over one view. `own_account`: the user name that our workers have."""

    def __init__(self, view: View, own_account: str) -> None:
        self._view, self._own_account = view, own_account
        self._by_path: dict[str, Callable[[Request], Awaitable[Verdict]]] = {
            MUTATE_POD: self._mutate_pod,
            VALIDATE_POD: self._validate_pod,
            VALIDATE_NODE: self._validate_node,
        }
        self.paths = frozenset(self._by_path)

    async def answer(self, path: str, body: bytes | bytearray) -> tuple[bytes, Verdict]:
        """The encoded answer, and what it says. Raises Undecodable where the body is no AdmissionReview."""
        request = decode_review(body)
        if request is None:
            verdict = bad("the review has no request")
            return encode_review("", verdict), verdict
        try:
            verdict = await self._by_path[path](request)
        except NotAnObject as error:
            verdict = bad(str(error))
        return encode_review(request.uid or "", verdict), verdict

    async def _mutate_pod(self, request: Request) -> Verdict:
        if not request.is_about("Pod") or request.operation not in (None, "", "CREATE"):
            return ALLOW
        pod = decode_object(request.object, Pod, "object")
        pod_class = classify(pod)
        if pod_class is PodClass.HOST_NETWORK:
            return ALLOW
        await self._view.known()
        if pod_class is PodClass.WINDOWS:
            return mutate_windows(pod, self._view.windows_ipam())
        namespace = request.namespace or pod.metadata.namespace or ""
        policies = self._view.policies(namespace)
        if isinstance(policies, NoSuchKind):
            return ALLOW
        account = await self._view.account(namespace, pod.spec.service_account_name or "")
        return mutate_by_policies(pod, pod_class, namespace, policies, account)

    async def _validate_pod(self, request: Request) -> Verdict:
        if request.operation not in ("CREATE", "UPDATE"):
            return ALLOW
        _check_request(request, "Pod")
        new = _annotations(request.object, "object")
        if request.operation == "CREATE":
            return validate_created(new, windows_ipam=await self._guards_windows())
        old = _annotations(request.old_object, "oldObject")
        return validate_updated(
            old,
            new,
            username=request.username,
            own_account=self._own_account,
            windows_ipam=await self._guards_windows(),
        )

    async def _guards_windows(self) -> bool:
        """While it is not known whether Windows is ours, its annotation is guarded."""
        await self._view.known()
        windows_ipam = self._view.windows_ipam()
        return isinstance(windows_ipam, Unreadable) or windows_ipam

    async def _validate_node(self, request: Request) -> Verdict:
        if request.username != VPC_CNI or request.operation != "UPDATE":
            return ALLOW
        _check_request(request, "Node")
        return validate_node(_node(request.old_object, "oldObject"), _node(request.object, "object"))


def _check_request(request: Request, kind: str) -> None:
    """Raises NotAnObject: what cannot be judged is not allowed."""
    if not request.is_about(kind):
        raise NotAnObject(f"the review is not about a v1 {kind}")


def _annotations(raw: msgspec.Raw, what: str) -> dict[str, str]:
    check_kind(raw, "Pod", what)
    metadata = decode_object(raw, GuardedPod, what).metadata
    return metadata.annotations.by_key() if metadata and metadata.annotations else {}


def _node(raw: msgspec.Raw, what: str) -> dict[str, Any]:
    check_kind(raw, "Node", what)
    if len(bytes(raw)) > LARGEST_NODE:
        raise NotAnObject(f"{what} has more than {LARGEST_NODE} bytes")
    return decode_object(raw, dict[str, Any], what)
