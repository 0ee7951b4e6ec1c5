"""In which trace a span is, and below what: ids that every process works out for itself. Pure.

Nothing of a trace is carried from process to process: the pod's uid, or the node's name with its instance, is known to
all of them.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RANDOM_BITS = 56
"""Of a trace id, from the right: those that are random in a UUID, too (W3C Trace Context, level 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A span of a trace. Ids as OpenTelemetry has them: 128 and 64 bits, never 0 in a span that exists."""

    trace: int
    span: int
    """0: none; what hangs here has no parent."""


def pod_root(uid: str) -> Place:
    """The first span of a pod's trace. The trace's id is the uid without its dashes, where that is a UUID."""
    trace = int(uid.replace("-", ""), 16) if _UUID.fullmatch(uid) else 0
    trace = trace or _hashed(f"pod/{uid}", 16)
    return Place(trace=trace, span=_hashed(f"root/{trace:032x}", 8))


def node_trace(node: str, instance: str) -> Place:
    """The trace of what is done for a node as a whole, while it is this instance. It has no first span: every run has
    one of its own."""
    return Place(trace=_hashed(f"node/{node}/{instance}", 16), span=0)


def is_sampled(trace: int, ratio: float) -> bool:
    """Whether a trace is one of this part (0 to 1) of all: for all processes the same ones."""
    return trace % (1 << _RANDOM_BITS) < ratio * (1 << _RANDOM_BITS)


def _hashed(text: str, size: int) -> int:
    """So many bytes, not all of them 0."""
    return int.from_bytes(sha256(text.encode()).digest()[:size]) or 1
