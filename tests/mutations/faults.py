"""The faults, as data: a name, the function that gets it, and the text there that is replaced.

Functions are found by name wherever they stand, so that a fault survives a move; `--check` tells of those that do not.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    function: str
    """Its name, or `Class.method`; a file of another language by its name; "" for a module's own level."""
    old: str
    new: str
    by: str = ""
    """Arguments of pytest: the narrowest tests that should notice."""
    also: tuple[tuple[str, str, str], ...] = ()
    """Function, old and new text of what else is replaced."""


WORLD = "tests/simulation/test_worlds.py -k"
S = "tests/simulation/"

SLOW = "tests/unit/watcher/test_slow_workers.py"
W = "tests/unit/node/test_windows_pods.py"

FORMER: tuple[Fault, ...] = (
    # --- what the product once did to living pods, to nodes and to Windows pools, put back
    Fault(
        "former: a clean-up without the grace",
        "let_cninode_go",
        "and not _long_gone(state)",
        "and False",
        f"{S}test_release_gate.py -k away_for_two_seconds",
        (
            ("clean_instance", "idle_since=gone_since, rest=rest", "idle_since=1.0, rest=0.0"),
            ("Inquiry.about", "claimed = (", "claimed = ended is None and ("),
        ),
    ),
    Fault(
        "former: two names of an instance know nothing of each other",
        "settle",
        "if serves is not None and serves != state.ledger.node:",
        "if False:",
        f"{WORLD} 'nothing_is_lost and two-nodes-one-instance'",
        (
            ("settle", "return serves is None or _take_over(state, instance_id)", "return True"),
            (
                "pods_of_instance",
                "if names(sharer.view, instance_id) or _about(sharer.ledger, instance_id)",
                "if False",
            ),
        ),
    ),
    Fault(
        "former: the sweep asks nobody right before it deletes",
        "Inquiry.about",
        "claimed = (",
        "claimed = False and (",
        f"{S}test_release_gate.py {S}test_situations.py -k sweep_spares",
    ),
    Fault(
        "former: strays cool without a question to the API server",
        "warrant",
        "if evidence.word_at == 0.0 or evidence.word_at < evidence.in_use_at:",
        "if False:",
        f"{S}test_release_gate.py -k silent_watch",
        (("warrant", "if not evidence.made:", "if False:"), ("annotated", "give_back(state, branch, has)", "pass")),
    ),
    Fault(
        "former: an annotation that cannot be read is absence",
        "owner_of",
        "if problem or not any(entry.eni_id in own for entry in entries):",
        "if False:",
        f"{WORLD} 'nothing_is_lost and forged-then-redis-lost'",
        (("_owners", "unclear.add(pod.uid)", "pass"),),
    ),
    Fault(
        "former: results of an earlier instance are applied (Windows)",
        "moved_on",
        "return action.made_for",
        "return False and action.made_for",
        f"{S}test_instance_replaced.py",
    ),
    Fault(
        "former: what is found after a loss of Redis does not rest",
        "_branch_of",
        "else BranchState.COOLING",
        "else BranchState.DISASSOCIATED",
        f"{WORLD} 'nothing_is_lost and redis-lost-with-lag'",
    ),
    Fault(
        "former: VLAN ids of finished pods stay reserved",
        "vlans_reserved",
        "if not is_live(pod):",
        "if False:",
        f"{WORLD} 'nothing_is_lost and finished-pods-stay'",
    ),
    Fault(
        "former: results of an earlier trunk are applied",
        "moved_on",
        "return action.made_for",
        "return False and action.made_for",
        f"{S}test_instance_replaced.py",
    ),
    Fault(
        "former: a run dies of a ledger that it does not understand",
        "NodeRun._plan",
        "fresh, reported = set_aside(",
        "raise\n            fresh, reported = set_aside(",
        f"{S}test_broken_ledgers.py",
    ),
    Fault(
        "former: type, groups and subnet are kept for ever",
        "learn",
        "state.change(instance=facts)",
        "pass",
        f"{WORLD} 'nothing_is_lost and type-changed'",
    ),
    Fault(
        "former: pods of one pass those of more",
        "serve",
        "if first is not None or to_make > places:",
        "if to_make > places:",
        f"{S}test_situations.py -k starve",
    ),
    Fault(
        "former: a claim stays annotated though its pod has nothing",
        "_waits",
        "if claim.annotated and subjects.annotate(pod.uid) not in state.busy",
        "if False and subjects.annotate(pod.uid) not in state.busy",
        "tests/unit/node/test_branch.py -k annotation_is_gone",
    ),
    Fault(
        "former: an instance that is not found is asked for without a pause",
        "_adopt",
        "attempts=attempts + 1",
        "attempts=0",
        f"{S}test_situations.py -k unknown_instance",
    ),
    Fault(
        "former: intervals overflow",
        "grown",
        "min(attempts, MOST_DOUBLINGS)",
        "attempts",
        "tests/unit/node/test_retry.py",
    ),
    Fault(
        "former: a CNINode is repaired every second",
        "done",
        "grown(WATCH_SECONDS, LONGEST_REPAIR_SECONDS, earlier.attempts)",
        "WATCH_SECONDS",
        f"{S}test_situations.py {S}test_nodes_go_on.py -k os_label",
        (
            (
                "keep_cninode",
                "(not node.os_label or facts.os_label == node.os_label)",
                "facts.os_label == node.os_label",
            ),
        ),
    ),
    Fault(
        "former: CNINodes of EKS auto mode are ours",
        "management",
        "or (spec is not None and spec.of_another)",
        "",
        f"{S}test_situations.py {S}test_nodes_go_on.py -k auto_mode",
    ),
    Fault(
        "former: an Unassign with unknown outcome is repeated beside an Assign",
        "give_back",
        "if not state.desired.complete or releasing(pool) or pool.assigning or state.busy & ASSIGNS:",
        "lost = frozenset(releasing(pool)) if RELEASE not in state.busy else frozenset()\n"
        "    state.set_pool(kept_back(pool, lost, state.now))\n    pool = pool_of(state)\n    if releasing(pool):",
        f"{S}test_windows_worlds.py {S}test_situations.py -k 'killed_worker or killed_beside'",
        (("ask", "{RELEASE, *ASSIGNS} or releasing(pool)", "ASSIGNS"),),
    ),
    Fault(
        "former: two names of a Windows instance know nothing of each other",
        "settle",
        "if serves is not None and serves != state.ledger.node:",
        "if False:",
        f"{WORLD} 'nothing_is_lost and two-windows-nodes-one-instance'",
        (
            ("settle", "return serves is None or _take_over(state, instance_id)", "return True"),
            (
                "pods_of_instance",
                "if names(sharer.view, instance_id) or _about(sharer.ledger, instance_id)",
                "if False",
            ),
        ),
    ),
    Fault(
        "former: an address known to be missing is given to the next pod",
        "_warm",
        "and address.ip not in pool.missing",
        "",
        f"{S}test_windows_worlds.py -k moved_to_another",
        (
            ("_rests", "if is_lost(pool, address):", "if False:"),
            ("_missed", "out -= {a.ip for a in taken}", "out -= set(pool.addresses)"),
        ),
    ),
    Fault(
        "former: as much is asked for as was refused",
        "_asked_for",
        "if not refused or wanted < refused:",
        "if True:",
        f"{S}test_windows_worlds.py -k nearly_full",
    ),
    Fault(
        "former: what could not be given back stays unusable",
        "not_begun",
        "state.set_pool(kept_back(pool, frozenset(action.warrant.keys), pool.released_at))",
        "pass",
        f"{S}test_windows_worlds.py -k could_not_be_given_back",
    ),
    Fault(
        "former: a look puts the pool in doubt and takes the Assign's turn",
        "look",
        "elif state.may(LOOK):\n        state.start(InspectPool(subject=LOOK",
        "elif state.may('pool'):\n        state.set_pool(msgspec.structs.replace(pool, suspect=True, suspect_since="
        "state.now))\n        state.start(InspectPool(subject='pool'",
        f"{S}test_windows_pace.py {S}test_windows_worlds.py -k 'no_time or cannot_be_looked_at'",
    ),
    Fault(
        "former: an Assign with unknown outcome is repeated at once",
        "failed",
        "if isinstance(error, Throttled | Unavailable):",
        "if isinstance(error, Throttled | Unavailable | Unsure):\n        state.set_backoff(action.subject, None)",
        f"{S}test_windows_worlds.py -k storm",
    ),
    Fault(
        "former: prefixes and addresses share a backoff",
        "ask",
        "pool_of(state), mode.subject",
        "pool_of(state), 'pool'",
        f"{S}test_windows_worlds.py tests/unit/node/test_windows_pods.py -k 'pause_of'",
    ),
    Fault(
        "former: one look that does not show something is believed",
        "is_believed",
        "first + SECOND_LOOK_SECONDS",
        "first",
        f"{S}test_windows_worlds.py -k no_false_alarm",
        (
            ("_missed", "(first is not None or at <= began - LAG_SECONDS)", "True"),
            ("_missed", "began >= at + SECOND_LOOK_SECONDS", "True"),
        ),
    ),
    Fault(
        "former: two pods with one annotation take an address from each other",
        "observe_annotations",
        "owner = _owner(state, ip, pods)",
        "owner = pods[int(state.now * 10) % len(pods)]",
        f"{S}test_situations.py {S}test_windows_worlds.py -k 'one_annotation or one_and_the_same'",
    ),
    Fault(
        "former: questions about ended pods take every place of a node",
        "release_ended",
        "if asked < state.options.in_flight // 2:",
        "if True:",
        "tests/unit/node/test_windows_pods.py -k leaves_room",
    ),
)

FAULTS: tuple[Fault, ...] = (
    *FORMER,
    # --- what may be taken away
    Fault("gate: incomplete lists suffice", "warrant", "evidence.complete", "True"),
    Fault("gate: claimed things go", "warrant", "evidence.claimed", "False"),
    Fault("branch: cool-down off", "evidence_of", "rest=0.0 if off else cooldown(state)", "rest=0.0"),
    Fault(
        "branch: never claimed",
        "_claimed",
        "return any(_names(",
        "return False and any(_names(",
        "tests/unit/node/test_evidence.py",
    ),
    Fault("branch: anybody may own it", "may_own", 'return branch.made_for in ("", pod)', "return True"),
    Fault(
        "branch: a word without a look",
        "evidence_of",
        "looked_at=branch.looked_at",
        "looked_at=1e12",
        "tests/unit/node/test_evidence.py",
    ),
    Fault(
        "branch: a look without a word",
        "evidence_of",
        "word_at=branch.word_at",
        "word_at=1e12",
        "tests/unit/node/test_evidence.py",
    ),
    Fault(
        "branch: used ones count as never used", "evidence_of", "None if branch.unwanted else branch.pod_uid", "None"
    ),
    Fault("pod: gone whatever the API server says", "confirm_gone", "return facts is None or", "return True or"),
    Fault(
        "pod: a successor counts as the pod", "confirm_gone", "facts.uid != action.pod_uid or facts.finished", "False"
    ),
    Fault(
        "pod: finished ones count as living",
        "confirm_gone",
        " or facts.finished",
        "",
        f"{WORLD} 'nothing_is_lost and undisturbed'",
    ),
    Fault("pods: released while lists are not complete", "release_ended", "not state.desired.complete", "False"),
    Fault("node: departs while lists are not complete", "depart", "not state.desired.complete", "False"),
    Fault("node: no grace", "depart", "ledger.gone_since + state.options.release_delay", "ledger.gone_since"),
    Fault(
        "node: its record ends with branches left",
        "depart",
        "not state.ledger.branches and",
        "True and",
        "tests/unit/node/test_evidence.py",
    ),
    Fault("adoption: before lists are complete", "know_instance", "not state.desired.complete", "False"),
    Fault("adoption: strays stay for ever", "_branch_of", "else BranchState.COOLING", "else BranchState.ASSIGNED"),
    Fault("adoption: finished pods own", "_owners", "not is_live(pod) or", ""),
    Fault("adoption: any annotation counts", "_owners", 'in ("", pod.uid)]', "is not None]"),
    Fault("adoption: unreadable annotations are absence", "_owners", "unclear.add(pod.uid)", "pass"),
    Fault("adoption: what is being made counts as leaked", "adopt_branches", " or being_made(ledger, interface)", ""),
    Fault("adoption: the VLAN of the annotation first", "_branch_of", "(interface.vlan_tag, entry.vlan", "(entry.vlan"),
    Fault("review: pods of a node that is away are over", "reviewed", "action.node_ended and ", ""),
    Fault("review: no owners", "reviewed", "if owner is not None", "if False"),
    Fault("undo: a whole trunk is detached", "undo_trunk", "found.delete_on_termination", "False"),
    Fault(
        "undo: a found trunk counts as made here",
        "undo",
        "made=not trunk.adopted",
        "made=True",
        "tests/unit/node/test_evidence.py",
    ),
    Fault(
        "undo: a trunk with branches",
        "carries",
        "any(b.trunk_id == state.ledger.trunk.eni_id",
        "any(False and b.trunk_id == ''",
        "tests/unit/node/test_evidence.py",
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
    # --- the evidence on which Windows addresses are given back
    Fault(
        "evidence of addresses: nobody claims them", "evidence_of", "claimed=not had", "claimed=False and not had", W
    ),
    Fault("evidence of addresses: no other name has them", "_had", "if s.ledger is not None and", "if False and", W),
    Fault("evidence of addresses: found ones were made here", "evidence_of", "made=not use.found", "made=True", W),
    Fault("evidence of addresses: nobody ever had them", "evidence_of", "owner=use.pod_uid if", "owner=None if", W),
    Fault("evidence of addresses: never in use", "evidence_of", "in_use_at=use.at", "in_use_at=0.0", W),
    Fault("evidence of addresses: they need no rest", "evidence_of", "rest=REST_SECONDS", "rest=0.0", W),
    Fault("evidence of addresses: no word is needed", "evidence_of", "word_at=use.word_at", "word_at=1e12", W),
    Fault(
        "evidence of addresses: no look is needed",
        "evidence_of",
        "looked_at=0.0 if key in pool.missing else pool.looked_at",
        "looked_at=1e12",
        W,
    ),
    Fault(
        "evidence of addresses: unknown ones were made here", "last_use", "LastUse(found=True", "LastUse(found=False", W
    ),
    Fault(
        "evidence of addresses: a pod's use is not noted",
        "put",
        "noted(pool, address, address.pod_uid, state.now)",
        "pool",
        W,
    ),
    Fault("evidence of addresses: an end is no word", "_rests", "now, word_at=now)", "now)", W),
    Fault(
        "evidence of addresses: a word about what a pod has",
        "reviewed",
        "and had.isdisjoint(",
        "and set().isdisjoint(",
        W,
    ),
    Fault(
        "windows: assigned beside a release",
        "ask",
        "{RELEASE, *ASSIGNS} or releasing(pool)",
        "ASSIGNS",
        W,
    ),
    Fault(
        "windows: given back beside an assignment",
        "give_back",
        " or pool.assigning or state.busy & ASSIGNS",
        "",
        W,
    ),
    Fault(
        "windows: an address of an instance that was replaced is given",
        "annotate",
        "if action.instance_id is not None:",
        "if False:",
        f"{S}test_found_lives.py -k instance_before",
    ),
    Fault("due: what waits in the queue does not count", "due.lua", "- redis.call('LLEN', KEYS[7])", "", SLOW),
    Fault("gate: no rest", "warrant", "now < rested_at", "False", "tests/unit/rules/test_release_gate.py"),
    Fault("gate: no look", "warrant", "if not evidence.made:", "if False:", "tests/unit/rules/test_release_gate.py"),
    Fault(
        "sweep: ledgers that cannot be read claim nothing",
        "_claimed_in_kubernetes",
        "if self._unreadable - {ended}:",
        "if False:",
        "tests/unit/maintenance/test_sweep.py",
    ),
    # --- what is made and given
    Fault("VLAN: of a cooling branch", "free_vlans", "_on_trunk(state)", "[]"),
    Fault("VLAN: finished pods reserve", "vlans_reserved", "if not is_live(pod):", "if False:"),
    Fault("VLAN: annotations reserve all that they name", "vlans_reserved", "[: pod.branches]", ""),
    Fault("annotation: overwritten", "annotate", "if stands is not None:", "if False:", f"{S}test_the_thin_layer.py"),
    Fault(
        "annotation: a successor gets it",
        "annotate",
        "if facts.uid != action.pod_uid:",
        "if False:",
        "tests/unit/workers/test_annotating.py",
    ),
    Fault("annotation: another VLAN is not reported", "_differing", "known != named", "False"),
    Fault(
        "trunk: attached without a look",
        "attach_trunk",
        "if action.again and",
        "if False and",
        f"tests/unit/workers/test_attachments.py {S}test_crash_points.py",
    ),
    Fault(
        "trunk: not waited for",
        "await_trunk",
        "found.attachment_status == ATTACHED",
        "True",
        f"tests/unit/workers/test_attachments.py {S}test_crash_points.py",
    ),
    Fault(
        "trunk: no permission",
        "go_on",
        "PermitInterface(subject=SUBJECT",
        "PermitInterface(subject='x'",
        "tests/unit/node/test_evidence.py",
    ),
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
    Fault(
        "windows: unasked ones are free", "rested", " and not address.unasked", "", "tests/unit/node/test_evidence.py"
    ),
    Fault("windows: reserved ones are free", "_warm", "and address.ip not in reserved", ""),
    Fault("windows: missing ones are free", "_warm", "and address.ip not in pool.missing", ""),
    Fault("windows: missing prefixes are held", "_held", " and p not in pool.missing", ""),
    Fault("windows: the newest first", "PrefixMode.pick", "min(room", "max(room"),
    Fault("windows: suspect pools ask on", "deviation", "if pool.suspect:", "if False:"),
    Fault("windows: slots without end", "deviation", "max(0, slots - slots_taken(pool))", "99"),
    Fault("windows: suspect pools give back", "releasable", "if pool.suspect:", "if False:"),
    Fault("windows: prefixes in use go", "PrefixMode.free", "if not _occupied(pool, prefix, reserved)", ""),
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
        "windows: a repeated answer takes from pods",
        "SecondaryMode.assigned",
        "if known is None or known.state in",
        "if True or",
    ),
    Fault("windows: pods' ends forgotten", "_rests", "state=AddressState.COOLING", "state=AddressState.WARM"),
    Fault("windows: warm zero keeps none", "SecondaryMode.configured", "max(warm, 1)", "warm"),
    Fault(
        "windows: prefixes rounded down", "_whole_prefixes", "-(-addresses // ADDRESSES_PER_PREFIX)", "addresses // 16"
    ),
    # --- runs, queue, locks, leader
    Fault(
        "run: intents saved after the start",
        "NodeRun._plan",
        "self._save(ledger)",
        "pass",
        f"{S}test_the_thin_layer.py",
    ),
    Fault(
        "run: sliced and forgotten",
        "Reconciler._leave",
        "if ending is Ending.SLICED:",
        "if False:",
        f"{S}test_the_thin_layer.py",
    ),
    Fault(
        "run: released, not published",
        "Reconciler._leave",
        "if self.store.lock.release(",
        "if not self.store.lock.release(",
        f"{S}test_the_thin_layer.py {S}test_disturbances.py",
    ),
    Fault("run: last outcomes lost", "NodeRun._finish", "self._save(self.ledger)", "pass", f"{S}test_short_slices.py"),
    Fault(
        "run: the lock is not looked at",
        "NodeRun._confirm",
        "raise StaleToken(self.node)",
        "pass",
        f"tests/unit/workers {S}test_disturbances.py {S}test_dead_workers.py",
    ),
    Fault(
        "run: never dirty",
        "NodeRun._is_dirty",
        "return self.shared.dirty_check.on(",
        "return False and self.shared.dirty_check.on(",
        f"{S}test_the_thin_layer.py {S}test_disturbances.py",
    ),
    Fault(
        "run: nobody is woken for a thread",
        "NodeRun.work",
        "self.executor.wake(",
        "(lambda *_: None)(",
        f"tests/unit/workers/test_rooms.py {S}test_disturbances.py",
    ),
    Fault(
        "run: one fault stops the node",
        "NodeRun._planned",
        "burst_left=self._burst_left()",
        "burst_left=1 / 0",
        f"{S}test_short_slices.py",
    ),
    Fault("ledger: fencing off", "save_ledger.lua", "~= ARGV[2]", "== 'x'", "tests/unit/store/test_store_parts.py"),
    Fault(
        "term: fencing off",
        "fenced.lua",
        "tonumber(latest) > tonumber(term)",
        "false",
        "tests/unit/store/test_store_parts.py",
    ),
    Fault(
        "list: complete whoever began another",
        "finish_list.lua",
        "~= ARGV[1]",
        "== 'x'",
        "tests/unit/store/test_store_parts.py",
    ),
    Fault(
        "epoch: any run of Redis is compared",
        "DesiredState.epoch",
        "else None",
        "else now",
        "tests/unit/store tests/unit/watcher/test_watching.py",
    ),
    Fault(
        "writer: never compared",
        "Writer._finish",
        "self._store.desired.mark_compared(self._server)",
        "pass",
        f"{S}test_found_lives.py {S}test_restored_copies.py",
    ),
    Fault(
        "writer: restarts unnoticed",
        "Writer.check_redis",
        "!= self._server",
        "is self",
        f"{S}test_found_lives.py {S}test_restored_copies.py",
    ),
    Fault(
        "writer: losses unnoticed",
        "Writer.check_redis",
        "and not self._store.desired.is_complete()",
        "and False",
        "tests/unit/watcher",
    ),
    Fault(
        "writer: removed pods stay",
        "Writer._to_write",
        "tuple(sorted(change.pending.pods - change.pods.keys()))",
        "()",
        "tests/unit/watcher",
    ),
    Fault(
        "writer: nodes of a list forgotten",
        "Writer._write_batch",
        "self._hold(urgencies, reasons)",
        "pass",
        "tests/unit/watcher",
    ),
    Fault(
        "announcer: half are dropped",
        "Announcer.catch_up",
        "mark_dirty(names,",
        "mark_dirty(names[::2],",
        "tests/unit/watcher",
    ),
    Fault(
        "writer: a changed configuration is felt by and by",
        "Writer._write_config",
        'self._announcer.add_later(times, dict.fromkeys(times, "configuration"))',
        "pass",
        "tests/unit/watcher",
    ),
    Fault(
        "pacing: each change is due at once",
        "Paced.add",
        "self._free_at.get(subject, now)",
        "now",
        "tests/unit/watcher",
    ),
    Fault(
        "writer: nodes where nobody waits stand before pods",
        "Writer._due_at",
        "case Urgency.NODE | Urgency.SHARED:\n                return now",
        "case Urgency.NODE | Urgency.SHARED:\n                return None",
        "tests/unit/watcher/test_slow_workers.py",
    ),
    Fault(
        "outages: one denied pod speaks for all of its node",
        "Outages.failed",
        "0 if isinstance(error, Denied) else 1",
        "1",
        "tests/simulation/test_outages.py",
    ),
    Fault(
        "ticker: due nodes forgotten",
        "Ticker.tick",
        "self._announcer.hand_out()",
        "pass",
        "tests/unit/watcher",
    ),
    Fault(
        "cache: deleted pods stay",
        "ClusterCache._put_pod",
        "case None:\n                self._remove_request(uid)",
        "case None:",
        "tests/unit/watcher/test_watching.py",
    ),
    Fault(
        "cache: pods that are ours no more stay",
        "ClusterCache._put_pod",
        "self._remove_request(uid)",
        "pass",
        "tests/unit/watcher/test_watching.py",
    ),
)
