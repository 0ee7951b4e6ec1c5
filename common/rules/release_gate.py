"""The one gate for what takes away: DisassociateTrunkInterface, DeleteNetworkInterface, UnassignPrivateIpAddresses.

Whatever chapter wants to take something from EC2 brings its evidence as a value; a call is made only with the warrant
that follows from it. Absence of evidence is a refusal, which says what is lacking and when it is worth asking again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.model.ids import EniId, Ipv4, PodUid, Prefix
from common.model.warrant import Ground, Warrant

EC2_LAG_SECONDS = 10.0
"""EC2's Describe answers are older than its writes by up to some seconds, in what they show and in what they do not: a
look counts only if it began so long after the interface was last known in use."""


class Lack(StrEnum):
    """What is lacking, in the order in which it is asked for."""

    LISTS = "lists"
    """Kubernetes' objects were not listed in full: absence means nothing."""
    CLAIMED = "claimed"
    """A living pod, another ledger, or another Node of the instance has it."""
    REST = "rest"
    WORD = "word"
    """The API server was not asked about the owner since it was last in use."""
    LOOK = "look"
    """EC2 was not looked at, late enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an interface, or of addresses of it. Moments in epoch seconds, 0: never."""

    eni_id: EniId
    addresses: tuple[Ipv4, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    complete: bool
    """Nodes, CNINodes and pods were listed in full."""
    claimed: bool
    """Somebody living has it: by an annotation, another ledger, or another Node object of the instance."""
    made: bool
    """Made by the ledger that asks, each of its calls with its outcome recorded; False: found in EC2."""
    owner: PodUid | None
    """Who had it last, by ledger, tag or annotation: a pod, whose annotation names it or may name it, or somebody not
    known (""). None: nobody had it since it was made, or since it rested with all this evidence (idle)."""
    in_use_at: float = 0.0
    """Last known in use, or found."""
    rest: float = 0.0
    """Seconds that it rests after that."""
    word_at: float = 0.0
    """The API server said that its owner (by ledger, tag or annotation) does not run, or went with its Node."""
    looked_at: float = 0.0
    """A look at EC2 began, and showed it as recorded, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    lack: Lack
    until: float = 0.0
    """Epoch seconds before which the same evidence is refused again; 0: until it changes."""


def warrant(evidence: Evidence, now: float) -> Warrant | Refusal:
    """The warrant that the evidence gives, or what is lacking."""
    if not evidence.complete:
        return Refusal(lack=Lack.LISTS)
    if evidence.claimed:
        return Refusal(lack=Lack.CLAIMED)
    if evidence.made and evidence.owner is None:
        return _warrant(evidence, Ground.UNUSED)
    rested_at = evidence.in_use_at + evidence.rest
    if now < rested_at:
        return Refusal(lack=Lack.REST, until=rested_at)
    if evidence.word_at == 0.0 or evidence.word_at < evidence.in_use_at:
        return Refusal(lack=Lack.WORD)
    if not evidence.made:
        shown_at = evidence.in_use_at + EC2_LAG_SECONDS
        if now < shown_at:
            return Refusal(lack=Lack.LOOK, until=shown_at)
        if evidence.looked_at < shown_at:
            return Refusal(lack=Lack.LOOK)
    return _warrant(evidence, Ground.ENDED)


def joined(warrants: Sequence[Warrant]) -> Warrant:
    """One call's, out of those for its addresses or prefixes, one at least, all of one interface."""
    (eni_id,) = {one.eni_id for one in warrants}
    return Warrant(
        eni_id=eni_id,
        ground=Ground.ENDED if any(one.ground is Ground.ENDED for one in warrants) else Ground.UNUSED,
        addresses=tuple(ip for one in warrants for ip in one.addresses),
        prefixes=tuple(prefix for one in warrants for prefix in one.prefixes),
    )


def _warrant(evidence: Evidence, ground: Ground) -> Warrant:
    return Warrant(eni_id=evidence.eni_id, ground=ground, addresses=evidence.addresses, prefixes=evidence.prefixes)
