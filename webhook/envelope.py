"""AdmissionReview in and out (`admission.k8s.io/v1`)."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
FORBIDDEN = 403
BAD_REQUEST = 400


class _Fields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """null counts as left out, as the API server's own decoder has it."""


class User(_Fields, frozen=True):
    username: str | None = None


class GroupKind(_Fields, frozen=True):
    group: str | None = None
    kind: str | None = None


class Request(_Fields, frozen=True):
    """The part of a review's request that is looked at. The objects stay encoded until somebody needs them."""

    uid: str | None = None
    operation: str | None = None
    namespace: str | None = None
    kind: GroupKind | None = None
    user_info: User | None = None
    object: msgspec.Raw = msgspec.Raw()
    old_object: msgspec.Raw = msgspec.Raw()

    @property
    def username(self) -> str:
        return (self.user_info.username if self.user_info else None) or ""

    def is_about(self, kind: str) -> bool:
        """Whether it is about a core/v1 object of this kind; a request that does not say so counts."""
        said = self.kind or GroupKind()
        return not said.group and said.kind in (None, "", kind)


class _Review(_Fields, frozen=True):
    request: Request | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered to a review."""

    allowed: bool
    code: int = 200
    message: str = ""
    patch: tuple[Mapping[str, Any], ...] = ()
    """JSON Patch operations."""
    warnings: tuple[str, ...] = ()
    """Shown to the sender of the object."""


ALLOW = Verdict(allowed=True)


def deny(message: str) -> Verdict:
    return Verdict(allowed=False, code=FORBIDDEN, message=message)


def bad(message: str) -> Verdict:
    """The request cannot be judged: an object is missing or cannot be decoded."""
    return Verdict(allowed=False, code=BAD_REQUEST, message=message)


class Undecodable(Exception):
    """What came is no JSON, or no AdmissionReview."""


_REVIEWS = msgspec.json.Decoder(_Review | None)


def decode_review(body: bytes | bytearray) -> Request | None:
    """The request of a review; None where it has none. Raises Undecodable."""
    try:
        review = _REVIEWS.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Undecodable(f"the body is no AdmissionReview: {error}") from error
    return review.request if review else None


def encode_review(uid: str, verdict: Verdict) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    if not verdict.allowed or verdict.message:
        status: dict[str, Any] = {"code": verdict.code, "message": verdict.message}
        if verdict.code == FORBIDDEN:
            status["reason"] = "Forbidden"
        response["status"] = status
    if verdict.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(verdict.patch)).decode()
    if verdict.warnings:
        response["warnings"] = verdict.warnings
    return msgspec.json.encode({"kind": KIND, "apiVersion": API_VERSION, "response": response})
