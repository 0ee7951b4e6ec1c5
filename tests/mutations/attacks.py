"""What the security review found, as faults: each puts a hole back, and names the tests that are to notice it."""

from tests.mutations.faults import Fault

FORGED = "tests/simulation/test_forged_annotations.py"
WEBHOOK = "tests/integration/test_webhook_server.py"
LISTENER = "tests/integration/test_listener.py"
LEAST = "tests/deploy/test_least_roles.py"

ATTACKS: tuple[Fault, ...] = (
    # --- claims
    Fault(
        "attack: an annotation's association is adopted",
        "_branch_of",
        "        made_at=now,",
        "        made_at=now, association=entry.association if entry is not None else None,",
        f"{FORGED} -k association",
    ),
    Fault(
        "attack: a forged association is not reported",
        "_see_to",
        "find_associations(state)",
        "pass",
        f"{FORGED} -k association",
    ),
    Fault("attack: anybody may own it", "may_own", 'return branch.made_for in ("", pod)', "return True", FORGED),
    Fault("attack: all named VLANs are reserved", "vlans_reserved", "[: pod.branches]", "", f"{FORGED} -k vlans"),
    Fault(
        "attack: an unreadable Windows address is not reported",
        "observe_annotations",
        '{PRIVATE_IPV4} that cannot be read"\n            if state.first_time(subjects.annotation(pod.uid), what):',
        '{PRIVATE_IPV4} that cannot be read"\n            if False:',
        "tests/simulation/test_forged_addresses.py -k empty",
    ),
    Fault(
        "attack: any ledger is believed",
        "decoded",
        "if found := ledger_problem(ledger, name):",
        "if found := '':",
        "tests/unit/store/test_forged_ledgers.py",
    ),
    # --- the API server
    Fault(
        "attack: the policy lets forgeries by",
        "annotations.yaml",
        "object.metadata.?annotations[?variables.key] == variables.before",
        "true || object.metadata.?annotations[?variables.key] == variables.before",
        "tests/deploy/test_policy.py",
    ),
    Fault(
        "attack: a worker patches pods",
        "annotate_pod",
        'name, "status")',
        "name)",
        "tests/unit/kube/test_api.py -k through_its_status",
    ),
    Fault(
        "attack: a worker's token patches pods", "worker.yaml", "resources: [pods/status]", "resources: [pods]", LEAST
    ),
    Fault(
        "attack: a name is part of a path",
        "is_object_name",
        "return _OBJECT_NAME.fullmatch(name) is not None",
        "return True",
        "tests/unit/kube/test_api.py -k reaches_no_path",
    ),
    Fault(
        "attack: the label of Fargate suffices",
        "classify",
        " and _may_be_on_fargate(pod.spec)",
        "",
        "tests/unit/webhook/test_mutation.py",
    ),
    Fault(
        "attack: a CNINode says whose an interface is",
        "interface_tags",
        "elif key.startswith(RESERVED_TAGS):",
        "elif False:",
        "tests/unit/rules/test_managed.py",
    ),
    # --- the webhook, and the small servers
    Fault(
        "attack: bodies are unpacked",
        "Body.read",
        'if encoding.lower() != "identity":',
        "if False:",
        f"{WEBHOOK} -k encodings",
    ),
    Fault("attack: bodies without end", "Budget.take", "if size > self._free:", "if False:", f"{WEBHOOK} -k budget"),
    Fault(
        "attack: connections without end",
        "Listener._made_room",
        "if len(self._connections) >= self._limit:",
        "if False:",
        LISTENER,
    ),
    Fault(
        "attack: who is silent takes a connection",
        "Listener._hold",
        "self._held.hold(accepted, SILENT_SECONDS, partial(self._came, peer))",
        "self._came(peer, accepted)",
        LISTENER,
    ),
    Fault(
        "attack: who makes way comes back at once",
        "Listener._send_away",
        "if not connection.answered:",
        "if False:",
        LISTENER,
    ),
    Fault(
        "attack: answered connections make way first",
        "Listener._least_worth",
        "return -self._of_peer[connection.peer], connection.answered",
        "return -self._of_peer[connection.peer], False",
        LISTENER,
    ),
    Fault(
        "attack: handshakes without end",
        "Listener._made_room",
        "if len(self._opening) >= OPENING:",
        "if False:",
        LISTENER,
    ),
    Fault(
        "attack: a crowd goes before who is answered",
        "Listener._admit",
        "(self._unanswered[one], self._of_peer[one])",
        "self._of_peer[one]",
        LISTENER,
    ),
    Fault(
        "attack: the newest waits behind a crowd",
        "Listener._admit",
        "next(reversed(self._newcomers[peer]))",
        "next(iter(self._newcomers[peer]))",
        LISTENER,
    ),
    Fault(
        "attack: any text is a group",
        "unusable",
        "if strange is not None:",
        "if False:",
        "tests/unit/rules/test_security_groups.py",
    ),
    Fault(
        "attack: events of one namespace take the queue",
        "EventSink._has_room",
        "(not namespace or self._queued[namespace] < free)",
        "True",
        "tests/unit/kube/test_events.py",
    ),
    Fault(
        "attack: groups are series of a metric",
        "label",
        "if named else",
        "if False else",
        "tests/unit/rules/test_scopes.py",
    ),
    Fault(
        "attack: look-ups without end",
        "LookUps.ask",
        "self._make_way()",
        "pass",
        "tests/unit/webhook/test_lookups.py",
    ),
    Fault(
        "attack: a slow client keeps its connection",
        "_Exchange.connection_made",
        "(REQUEST_SECONDS,",
        "(1e6,",
        "tests/integration/test_probes.py",
    ),
    # --- Redis, Flower, secrets
    Fault(
        "attack: anybody may do everything in Redis",
        "acl_file",
        '"user default off resetpass resetkeys resetchannels -@all"',
        '"user default on nopass ~* &* +@all"',
        "tests/integration/test_redis_users.py -k nobody_is_let_in",
    ),
    Fault(
        "attack: orders over the broker",
        "restrict",
        "Panel.data[name] = _refuse",
        "pass",
        "tests/integration/test_redis_users.py -k orders",
    ),
    Fault(
        "attack: Flower's pages are open",
        "credentials_of",
        "if url.password else []",
        "if False else []",
        "tests/integration/test_flower.py",
    ),
    Fault(
        "attack: texts are not masked",
        "mask",
        "text = pattern.sub(replacement, text)",
        "pass",
        "tests/unit/test_masking.py",
    ),
    Fault("attack: names do not mask", "_is_secret", "is not None", "is None", "tests/unit/test_masking.py"),
    # --- the release
    Fault(
        "attack: a base image without a digest", "release.yml", "grep -Eqx", "grep -Eq .", "tests/deploy/test_image.py"
    ),
)
