"""What is in a Windows node's pool, by EC2's word, the pods' annotations and our own record."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv4Network

import msgspec

from common.model.ec2 import Interface
from common.model.ids import Ipv4, PodUid, Prefix
from common.model.ledger import Address, AddressState, LastUse, Pool
from common.model.pod import PodRequest
from common.node.windows.pool import addresses_of

LOOK_AGAIN_SECONDS = 20.0
"""Less than an address rests, more than EC2's Describe calls lag."""
LAG_SECONDS = 10.0
"""EC2's Describe calls lag behind its writes by seconds: a look proves nothing of what is younger than this."""
CONFIRM_SECONDS, CONFIRM_AGAIN_SECONDS = 2.0, 5.0
"""After an assignment, and after a look that did not show it yet."""
SECOND_LOOK_SECONDS = 60.0
"""Between the first look that did not show an address or prefix and the one that is believed."""
SETTLED_SECONDS = 60.0
"""A call with unknown outcome has taken effect by then, or never will: more than a call takes, and than its worker can
stand still before it."""


def address_named(pod: PodRequest) -> Ipv4 | None:
    """The address in a pod's annotation (`10.0.3.17/19`), None where there is none that can be read."""
    text = (pod.ip_annotation or "").split("/", 1)[0]
    try:
        return Ipv4(str(IPv4Address(text)))
    except ValueError:
        return None


def address_of(pod: PodRequest, addresses: AbstractSet[str], prefixes: Mapping[Prefix, float]) -> Ipv4 | None:
    """The node's address that a living pod has: the one that it runs with, by the kubelet's word, else the one that its
    annotation names, which anybody may have written. None where there is neither."""
    if pod.finished:
        return None
    runs_with = Ipv4(pod.pod_ip)
    if runs_with in addresses or prefix_of(runs_with, prefixes) is not None:
        return runs_with
    return address_named(pod)


def named_by(
    pods: Mapping[PodUid, PodRequest], addresses: AbstractSet[str], prefixes: Mapping[Prefix, float]
) -> dict[Ipv4, list[PodRequest]]:
    """Addresses that living pods have by `address_of`, each with those pods: who runs with it, then the oldest."""
    named: dict[Ipv4, list[PodRequest]] = {}
    for pod in sorted(pods.values(), key=lambda pod: (pod.scheduled_at, pod.uid)):
        if (ip := address_of(pod, addresses, prefixes)) is not None:
            named.setdefault(ip, []).append(pod)
    return {ip: sorted(by, key=lambda pod: pod.pod_ip != ip) for ip, by in named.items()}


def reserved(
    pods: Mapping[PodUid, PodRequest], addresses: AbstractSet[str], prefixes: Mapping[Prefix, float]
) -> dict[Ipv4, PodRequest]:
    """The same, each with the pod that comes first."""
    return {ip: by[0] for ip, by in named_by(pods, addresses, prefixes).items()}


def prefix_of(ip: Ipv4, prefixes: Mapping[Prefix, float]) -> Prefix | None:
    return next((prefix for prefix in prefixes if ip in addresses_of(prefix)), None)


def adopted_pool(primary: Interface, pods: Mapping[PodUid, PodRequest], now: float) -> Pool:
    """A pool without a record: what a living pod runs with, or its annotation names, is that pod's; a secondary address
    that nobody has may have been a pod's a moment ago, and rests; so does every address of a prefix."""
    prefixes = dict.fromkeys(primary.prefixes, now)
    named = reserved(pods, frozenset(primary.secondary_ips), prefixes)
    addresses: dict[Ipv4, Address] = {}
    for ip in primary.secondary_ips:
        addresses[ip] = _taken(ip, None, named.get(ip), now)
    for prefix in prefixes:
        for ip in addresses_of(prefix):
            addresses[ip] = _taken(ip, prefix, named.get(ip), now)
    uses = {str(key): LastUse(found=True, at=now) for key in (*primary.secondary_ips, *prefixes)}
    return Pool(addresses=addresses, prefixes=prefixes, suspect=False, uses=uses)


def known_in(pool: Pool, epoch: str, now: float) -> Pool:
    """The pool as it is to be taken in this run of Redis. One of an earlier run may come from an old copy: whatever is
    free by it may have been a pod's since, and rests as in a pool without a record; or it may have been given back, and
    is nobody's until a look shows it."""
    if epoch in ("", pool.epoch):
        return pool
    if pool.epoch == "":
        return msgspec.structs.replace(pool, epoch=epoch)
    free = {
        ip: Address(ip=ip, prefix=a.prefix, state=AddressState.COOLING, since=now, unasked=True)
        for ip, a in pool.addresses.items()
        if a.state in (AddressState.WARM, AddressState.COOLING)
    }
    out_of_prefixes = {
        ip: Address(ip=ip, prefix=prefix, state=AddressState.COOLING, since=now, unasked=True)
        for prefix in pool.prefixes
        for ip in addresses_of(prefix)
    }
    unshown = [*pool.prefixes, *(ip for ip, a in free.items() if a.prefix is None)]
    return msgspec.structs.replace(
        pool,
        addresses={**out_of_prefixes, **pool.addresses, **free},
        missing={**pool.missing, **dict.fromkeys(unshown, now)},
        uses={**pool.uses, **{str(key): LastUse(found=True, at=now) for key in unshown}},
        look_at=now + LOOK_AGAIN_SECONDS,
        released_at=now if releasing(pool) else pool.released_at,
        epoch=epoch,
    )


def _taken(ip: Ipv4, prefix: Prefix | None, pod: PodRequest | None, now: float) -> Address:
    if pod is None:
        return Address(ip=ip, prefix=prefix, state=AddressState.COOLING, since=now, unasked=True)
    return Address(
        ip=ip,
        prefix=prefix,
        state=AddressState.ASSIGNED,
        pod_uid=pod.uid,
        pod_namespace=pod.namespace,
        pod_name=pod.name,
        annotated=True,
        since=now,
    )


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at EC2 makes of a pool."""

    pool: Pool
    lost: tuple[Address, ...] = ()
    """Addresses that pods have and that are not the node's any more."""


def compared(pool: Pool, primary: Interface, began: float, now: float) -> Comparison:
    """The pool after a look at EC2 that began to be made at `began`.

    EC2's answers can be older than our last calls, so one look is never the end of anything. What it does not show is
    given to nobody from then on, and leaves the record when a second look, a minute later, does not show it either;
    what a pod has stays on record as long as the pod lives. What is shown and not on record rests first, even where a
    call of ours with unknown outcome may have brought it: it may as well be what we gave back a moment ago. What may
    have been given back is usable again when it is shown by a look so late that the call cannot take effect any more.
    """
    settled = pool.suspect and began >= pool.suspect_since
    shown: set[str] = {*primary.secondary_ips, *primary.prefixes}
    given_back = {k: at for k, at in pool.given_back.items() if began < at + LAG_SECONDS}
    pool, gone = _released(pool, shown, began, now)
    given_back |= dict.fromkeys(gone, began)
    pool, lost = _missed(pool, shown, began)
    pool, odd = _found(pool, primary, now, hidden=given_back, expecting=bool(pool.assigning) and not settled)
    after = msgspec.structs.replace(
        pool,
        assigning=0 if settled else pool.assigning,
        suspect=pool.suspect and not settled,
        looked_at=max(began, pool.looked_at),
        look_at=now + LOOK_AGAIN_SECONDS
        if odd or (settled and pool.assigning)  # What it brought may not be shown yet.
        else (pool.look_at if began < pool.look_at else 0.0),
        fresh={k: at for k, at in pool.fresh.items() if k not in shown and k in held(pool) and k not in pool.missing},
        given_back=given_back,
    )
    return Comparison(pool=after, lost=lost)


def next_look(pool: Pool) -> float:
    """Epoch seconds at which a look at EC2 can settle something that is open; infinity: nothing is."""
    moments = [pool.look_at] if pool.look_at else []
    moments += [max(at + CONFIRM_SECONDS, pool.looked_at + CONFIRM_AGAIN_SECONDS) for at in pool.fresh.values()]
    moments += [at + SECOND_LOOK_SECONDS for at in pool.missing.values() if not is_believed(pool, at)]
    if releasing(pool):
        moments.append(pool.released_at + SETTLED_SECONDS)
    return min(moments, default=float("inf"))


def releasing(pool: Pool) -> tuple[str, ...]:
    """Addresses and prefixes that UnassignPrivateIpAddresses may have taken."""
    addresses = (a.ip for a in pool.addresses.values() if a.state is AddressState.RELEASING)
    return (*addresses, *pool.releasing_prefixes)


def held(pool: Pool) -> set[str]:
    return {*pool.addresses, *pool.prefixes}


def last_use(pool: Pool, key: Ipv4 | Prefix) -> LastUse:
    """The last use of an address or prefix on record. Where nothing is known, it counts as found when it came."""
    address = pool.addresses.get(Ipv4(key))
    came = address.since if address is not None else pool.prefixes.get(Prefix(key), 0.0)
    return pool.uses.get(key) or LastUse(found=True, at=came)


def noted(pool: Pool, address: Address, uid: PodUid, at: float, *, word_at: float = 0.0) -> Pool:
    """The pool with what is known of an address, or of its prefix: the pod has it, or had it until the API server's
    word."""
    key = address.prefix or address.ip
    use = msgspec.structs.replace(last_use(pool, key), pod_uid=uid, at=at, word_at=word_at)
    return msgspec.structs.replace(pool, uses={**pool.uses, key: use})


def without_what_left(pool: Pool) -> Pool:
    """The pool without uses of what is not on record any more."""
    on_record = {*held(pool), *pool.releasing_prefixes}
    if pool.uses.keys() <= on_record:
        return pool
    return msgspec.structs.replace(pool, uses={key: use for key, use in pool.uses.items() if key in on_record})


def kept_back(pool: Pool, keys: AbstractSet[str], since: float) -> Pool:
    """The pool with these addresses and prefixes, which were to be given back, usable again."""
    addresses = {
        ip: Address(ip=ip, state=AddressState.WARM, since=since)
        if ip in keys and a.state is AddressState.RELEASING
        else a
        for ip, a in pool.addresses.items()
    }
    back = [p for p in pool.releasing_prefixes if p in keys]
    return msgspec.structs.replace(
        pool,
        addresses=addresses,
        prefixes={**pool.prefixes, **dict.fromkeys(back, since)},
        releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p not in keys),
    )


def is_lost(pool: Pool, address: Address) -> bool:
    """Whether two looks have shown that the address is not the node's any more."""
    if address.prefix is not None and address.prefix not in pool.prefixes:
        return True
    first = pool.missing.get(address.prefix or address.ip)
    return first is not None and is_believed(pool, first)


def is_believed(pool: Pool, first: float) -> bool:
    """Whether what a look did not show at `first` has been missing in a second look, late enough."""
    return pool.looked_at >= first + SECOND_LOOK_SECONDS


def _released(pool: Pool, shown: AbstractSet[str], began: float, now: float) -> tuple[Pool, list[str]]:
    """What was to be given back and is gone, is: the pool without it, and its names."""
    gone = [key for key in releasing(pool) if key not in shown]
    pool = msgspec.structs.replace(
        pool,
        addresses={ip: a for ip, a in pool.addresses.items() if ip not in gone},
        releasing_prefixes=tuple(p for p in pool.releasing_prefixes if p not in gone),
    )
    if began >= pool.released_at + SETTLED_SECONDS:
        pool = kept_back(pool, shown, now)
    return pool, gone


def _missed(pool: Pool, shown: AbstractSet[str], began: float) -> tuple[Pool, tuple[Address, ...]]:
    """The pool with what is missing marked, or dropped after the second look; and which addresses pods have lost."""
    since: dict[str, float] = dict(pool.prefixes.items())
    since |= {ip: a.since for ip, a in pool.addresses.items() if a.prefix is None}
    missing: dict[str, float] = {}
    for key, at in since.items():
        first = pool.missing.get(key)
        if key not in shown and (first is not None or at <= began - LAG_SECONDS):
            missing[key] = began if first is None else first
        elif first is not None and began < first + LAG_SECONDS:
            missing[key] = first  # Shown by an answer that may be older than the one that did not show it.
    out = {key for key, at in missing.items() if key not in shown and began >= at + SECOND_LOOK_SECONDS}
    taken = [a for a in pool.addresses.values() if a.state is AddressState.ASSIGNED]
    lost = tuple(a for a in taken if (a.prefix or a.ip) in out)
    out -= {a.ip for a in taken}
    changed = msgspec.structs.replace(
        pool,
        addresses={
            ip: a
            for ip, a in pool.addresses.items()
            if a.state is AddressState.ASSIGNED or (a.prefix or a.ip) not in out
        },
        prefixes={p: at for p, at in pool.prefixes.items() if p not in out},
        missing={key: at for key, at in missing.items() if key not in out},
    )
    return changed, lost


def _found(
    pool: Pool, primary: Interface, now: float, *, hidden: Mapping[str, float], expecting: bool
) -> tuple[Pool, bool]:
    """The pool with what EC2 shows beside it; and whether there was something, which is looked at again. `hidden` was
    given back a moment ago. While an assignment is under way (`expecting`) its answer says what it brought."""
    known = {*pool.prefixes, *pool.releasing_prefixes}
    unknown = [ip for ip in primary.secondary_ips if ip not in pool.addresses]
    unknown_prefixes = sorted(set(primary.prefixes) - known, key=IPv4Network)
    odd = bool(unknown or unknown_prefixes)
    addresses, prefixes, uses = {**pool.addresses}, {**pool.prefixes}, {**pool.uses}
    for ip in unknown:
        if ip not in hidden and not expecting:
            addresses[ip] = Address(ip=ip, state=AddressState.COOLING, since=now, unasked=True)
            uses[ip] = LastUse(found=True, at=now)
    for prefix in unknown_prefixes:
        if prefix not in hidden and not expecting:
            prefixes[prefix] = now
            uses[prefix] = LastUse(found=True, at=now)
            for ip in addresses_of(prefix):
                found = Address(ip=ip, prefix=prefix, state=AddressState.COOLING, since=now, unasked=True)
                addresses.setdefault(ip, found)
    return msgspec.structs.replace(pool, addresses=addresses, prefixes=prefixes, uses=uses), odd
