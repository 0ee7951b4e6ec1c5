"""The faults, as data: a name, the function that gets it, and the text there that is replaced.

Functions are found by name wherever they stand, so that a fault survives a move; `--check` tells of those that do not.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    function: str
    """Its name, or `Class.method`; a file of Lua by its path's end; "" for a module's own level."""
    old: str
    new: str


FAULTS: tuple[Fault, ...] = (
    # --- what may be taken away
    Fault("gate: incomplete lists suffice", "warrant", "evidence.complete", "True"),
    Fault("gate: claimed things go", "warrant", "evidence.claimed", "False"),
    Fault("branch: cool-down off", "evidence_of", "rest=0.0 if off else cooldown(state)", "rest=0.0"),
    Fault("branch: never claimed", "_claimed", "return any(_names(", "return False and any(_names("),
    Fault("branch: anybody may own it", "may_own", 'return branch.made_for in ("", pod)', "return True"),
    Fault("branch: a word without a look", "evidence_of", "looked_at=branch.looked_at", "looked_at=1e12"),
    Fault("branch: a look without a word", "evidence_of", "word_at=branch.word_at", "word_at=1e12"),
    Fault(
        "branch: used ones count as never used", "evidence_of", "None if branch.unwanted else branch.pod_uid", "None"
    ),
    Fault("pod: gone whatever the API server says", "confirm_gone", "return facts is None or", "return True or"),
    Fault(
        "pod: a successor counts as the pod", "confirm_gone", "facts.uid != action.pod_uid or facts.finished", "False"
    ),
    Fault("pod: finished ones count as living", "confirm_gone", " or facts.finished", ""),
    Fault("pods: released while lists are not complete", "release_ended", "not state.desired.complete", "False"),
    Fault("node: departs while lists are not complete", "depart", "not state.desired.complete", "False"),
    Fault("node: no grace", "depart", "ledger.gone_since + state.options.release_delay", "ledger.gone_since"),
    Fault("node: its record ends with branches left", "depart", "not state.ledger.branches and", "True and"),
    Fault("adoption: before lists are complete", "know_instance", "not state.desired.complete", "False"),
    Fault("adoption: strays stay for ever", "_branch_of", "else BranchState.COOLING", "else BranchState.ASSIGNED"),
    Fault("adoption: finished pods own", "_owners", "not is_live(pod) or", ""),
    Fault("adoption: any annotation counts", "_owners", 'in ("", pod.uid)]', "is not None]"),
    Fault("adoption: unreadable annotations are absence", "_owners", "unclear.add(pod.uid)", "pass"),
    Fault("adoption: what is being made is a stray", "adopt_branches", " or being_made(ledger, interface)", ""),
    Fault("adoption: the VLAN of the annotation first", "_branch_of", "(interface.vlan_tag, entry.vlan", "(entry.vlan"),
    Fault("review: pods of a node that is away are over", "reviewed", "action.node_ended and ", ""),
    Fault("review: no owners", "reviewed", "if owner is not None", "if False"),
    Fault("undo: a whole trunk is detached", "undo_trunk", "found.delete_on_termination", "False"),
    Fault("undo: a found trunk counts as made here", "undo", "made=not trunk.adopted", "made=True"),
    Fault(
        "undo: a trunk with branches",
        "carries",
        "any(b.trunk_id == state.ledger.trunk.eni_id",
        "any(False and b.trunk_id == ''",
    ),
    Fault("audit: one look suffices", "_compare", "again = suspects & set(ledger.suspects)", "again = suspects"),
    Fault("audit: young ones count as lost", "_missing", "b.since < state.now - SETTLED_SECONDS", "True"),
    Fault("audit: off", "_compare", "strays | missing", "set()"),
    Fault("sweep: one pass suffices", "sweep_leaks", "leaks.leaked(idle, seen)", "idle"),
    Fault("sweep: passes too close count", "sweep_leaks", "< interval / 2", "< 0"),
    Fault("sweep: ledgers claim nothing", "_claimed_in_kubernetes", "claimed_by_ledgers(shown, others)", "False"),
    Fault(
        "sweep: pods claim nothing", "_claimed_in_kubernetes", "if claimed_by_pods(", "if False and claimed_by_pods("
    ),
    Fault("sweep: changed ones are the same", "Inquiry.about", "not unchanged(seen, shown)", "False"),
    Fault("sweep: associated ones go", "Inquiry.about", "or seen.eni_id in self._associations()", ""),
    Fault("sweep: EKS auto mode's go", "_foreign", "found |= foreign_instances(desired.view)", "pass"),
    # --- what is made and given
    Fault("VLAN: of a cooling branch", "free_vlans", "_on_trunk(state)", "[]"),
    Fault("VLAN: finished pods reserve", "vlans_reserved", "if not is_live(pod):", "if False:"),
    Fault("VLAN: annotations reserve all that they name", "vlans_reserved", "[: pod.branches]", ""),
    Fault("annotation: overwritten", "annotate", "if stands is not None:", "if False:"),
    Fault("annotation: a successor gets it", "annotate", "if facts.uid != action.pod_uid:", "if False:"),
    Fault("annotation: another VLAN is not told", "_differing", "known != named", "False"),
    Fault("trunk: attached without a look", "attach_trunk", "if action.again and", "if False and"),
    Fault("trunk: not waited for", "await_trunk", "found.attachment_status == ATTACHED", "True"),
    Fault("trunk: no permission", "go_on", "PermitInterface(subject=SUBJECT", "PermitInterface(subject='x'"),
    Fault("trunk: instance replaced, outcomes kept", "moved_on", "return ", "return False and "),
    Fault("trunk: generation stays", "undone", "before.generation + 1", "before.generation"),
    Fault(
        "trunk: lowest device index",
        "free_device_index",
        "range(limits.trunk_device_index, 0, -1)",
        "range(1, limits.trunk_device_index + 1)",
    ),
    Fault("capacity: off by one", "advertise", "amount=amount)", "amount=amount + 1)"),
    Fault("capacity: said once only", "advertise", "!= str(amount)", "in (None, '')"),
    # --- Windows
    Fault("windows: no rest", "rested", "address.since + REST_SECONDS <= now", "True"),
    Fault("windows: unasked ones are free", "rested", " and not address.unasked", ""),
    Fault("windows: reserved ones are free", "_warm", "and address.ip not in reserved", ""),
    Fault("windows: missing ones are free", "_warm", "and address.ip not in pool.missing", ""),
    Fault("windows: missing prefixes are held", "_prefixes_held", " and p not in pool.missing", ""),
    Fault("windows: the newest first", "pick_address", "min(room", "max(room"),
    Fault("windows: suspect pools ask on", "deviation", "if pool.suspect:", "if False:"),
    Fault("windows: slots without end", "deviation", "max(0, slots - slots_taken(pool))", "99"),
    Fault("windows: suspect pools give back", "releasable", "if pool.suspect:", "if False:"),
    Fault("windows: prefixes in use go", "releasable", "if not _occupied(pool, p, reserved)", ""),
    Fault("windows: an old copy is believed", "known_in", 'epoch in ("", pool.epoch)', "True"),
    Fault(
        "windows: an old copy's prefixes are free", "known_in", "for prefix in pool.prefixes\n", "for prefix in ()\n"
    ),
    Fault("windows: ghosts of an old copy are given", "known_in", "**dict.fromkeys(unshown, now)", ""),
    Fault("windows: found ones are free at once", "_taken", "state=AddressState.COOLING", "state=AddressState.WARM"),
    Fault("windows: one look suffices", "is_believed", "first + SECOND_LOOK_SECONDS", "first"),
    Fault("windows: lag counts as loss", "_missed", "at <= began - LAG_SECONDS", "True"),
    Fault("windows: given back and shown is used at once", "_released", "+ SETTLED_SECONDS", ""),
    Fault(
        "windows: a repeated answer takes from pods", "_assigned", "if known is None or known.state in", "if True or"
    ),
    Fault("windows: pods' ends forgotten", "_rests", "state=AddressState.COOLING", "state=AddressState.WARM"),
    Fault("windows: warm zero keeps none", "targets_for", "max(warm, 1)", "warm"),
    Fault(
        "windows: prefixes rounded down", "_whole_prefixes", "-(-addresses // ADDRESSES_PER_PREFIX)", "addresses // 16"
    ),
    # --- runs, queue, locks, leader
    Fault("run: intents saved after the start", "NodeRun._plan", "self._save(ledger)", "pass"),
    Fault("run: sliced and forgotten", "Reconciler._leave", "if ending is Ending.SLICED:", "if False:"),
    Fault("run: released, not published", "Reconciler._leave", "if self.store.lock.rel", "if not self.store.lock.rel"),
    Fault("run: last outcomes lost", "NodeRun._finish", "self._save(self.ledger)", "pass"),
    Fault("run: the lock is not looked at", "NodeRun._confirm", "raise StaleToken(self.node)", "pass"),
    Fault(
        "run: never dirty",
        "NodeRun._is_dirty",
        "return self.shared.dirty_check.on(",
        "return False and self.shared.dirty_check.on(",
    ),
    Fault("run: nobody is woken for a thread", "NodeRun.work", "self.executor.wake(", "(lambda *_: None)("),
    Fault("run: one fault stops the node", "NodeRun._planned", "burst_left=self._burst_left()", "burst_left=1 / 0"),
    Fault("ledger: fencing off", "save_ledger.lua", "~= ARGV[2]", "== 'x'"),
    Fault("term: fencing off", "fenced.lua", "tonumber(latest) > tonumber(term)", "false"),
    Fault("list: complete whoever began another", "finish_list.lua", "~= ARGV[1]", "== 'x'"),
    Fault("epoch: any run of Redis is compared", "DesiredState.epoch", "else None", "else now"),
    Fault("writer: never compared", "Writer._finish", "self._store.desired.mark_compared(self._server)", "pass"),
    Fault("writer: restarts unnoticed", "Writer.check_redis", "!= self._server", "is self"),
    Fault("writer: losses unnoticed", "Writer.check_redis", "and not self._store.desired.is_complete()", "and False"),
    Fault("writer: removed pods stay", "Writer._write", "change.pending.pods - change.pods.keys()", "set()"),
    Fault("writer: nodes of a list forgotten", "Writer._pay", "self._held.update(looks)", "pass"),
    Fault("announcer: half are dropped", "Announcer.catch_up", "len(some), None", "2 * len(some), None"),
    Fault("ticker: due nodes forgotten", "Ticker.tick", "self._announce(self._store.wake", "list(self._store.wake"),
    Fault("cache: deleted pods stay", "ClusterCache._put_pod", "self._remove_wish(uid)", "pass"),
)
