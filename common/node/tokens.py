"""Client tokens: the same intent has the same token, whoever carries it out and however often."""

from hashlib import sha256

from common.model.ids import BranchKey, ClientToken, EniId, InstanceId, PodUid, VlanId


def branch_key(pod: PodUid, ordinal: int, generation: int) -> BranchKey:
    return BranchKey(f"{pod}.{ordinal}.{generation}")


def key_ahead(instance: InstanceId, vlan: VlanId, now: float) -> BranchKey:
    """Of a branch that is made before a pod asks for one. `now`: epoch seconds; in each a VLAN id is planned for
    once."""
    return BranchKey(f"{instance}.{vlan}.{int(now)}")


def made_ahead(key: BranchKey) -> bool:
    """Keys of others begin with a pod's uid, or are interface ids."""
    return key.startswith("i-")


def generation_after_loss(now: float) -> int:
    """More than any that a pod's lost record can have counted to, so that no client token is used twice: attempts take
    longer than a second each. `now`: epoch seconds of the shared clock (docs/adr/0016-generations-after-a-loss.md)."""
    return int(now)


def branch_token(cluster: str, key: BranchKey) -> ClientToken:
    return _token(cluster, "branch", key)


def found_token(eni: EniId) -> ClientToken:
    """Of a branch whose own token is not known: what the tokens of its association follow from."""
    return _token("found", eni)


def trunk_token(cluster: str, instance: InstanceId, generation: int) -> ClientToken:
    return _token(cluster, "trunk", instance, str(generation))


def association_token(token: ClientToken, ended: int = 0) -> ClientToken:
    """The client token for associating the branch that `token` made, after so many earlier ones that ended."""
    return _token(token, "associate", *_count(ended))


def disassociation_token(token: ClientToken, ended: int = 0) -> ClientToken:
    return _token(token, "disassociate", *_count(ended))


def _count(ended: int) -> tuple[str, ...]:
    return (str(ended),) if ended else ()


def _token(*parts: str) -> ClientToken:
    """64 ASCII characters are the most that EC2 takes."""
    return ClientToken(sha256("\0".join(parts).encode()).hexdigest()[:48])
