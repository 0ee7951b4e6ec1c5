"""What the sandbox's server can do beside being an API server: faults, compaction, journal, tokens, webhooks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from sandbox.kube import KubeWorld, User
from sandbox.kube.certificates import make_certificates
from sandbox.kube.webhook_calls import WebhookCaller
from tests.kit.clock import VirtualClock
from tests.sandbox.kube_fixtures import MERGE, Api, config_map, pod, sandbox_server

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def api() -> Iterator[Api]:
    with sandbox_server(world=KubeWorld(clock=VirtualClock().now)) as listening:
        yield Api(listening.url)


def test_a_fault_meets_what_it_matches_as_often_as_it_says(api: Api) -> None:
    rule = {"match": {"verb": "patch", "resource": "pods"}, "effect": 503, "count": 2, "retry_after": 1}
    assert api("POST", "/_sandbox/faults", rule).status == 200
    api("POST", PODS, pod("a"))
    change = {"metadata": {"labels": {"x": "y"}}}
    statuses = [api("PATCH", f"{PODS}/a", change, media=MERGE).status for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert api("GET", "/_sandbox/faults").body[0]["met"] == 2


def test_a_fault_after_the_effect_hides_a_success(api: Api) -> None:
    api("POST", "/_sandbox/faults", {"match": {"method": "POST"}, "effect": "reset", "when": "after", "count": 1})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api("POST", MAPS, config_map("a"))
    assert api("GET", f"{MAPS}/a").status == 200


def test_a_reset_before_the_effect_leaves_nothing(api: Api) -> None:
    api("POST", "/_sandbox/faults", {"match": {"verb": "create"}, "effect": "reset", "count": 1})
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api("POST", MAPS, config_map("a"))
    assert api("GET", f"{MAPS}/a").status == 404
    api("DELETE", "/_sandbox/faults")
    assert api("GET", "/_sandbox/faults").body == []


@pytest.mark.parametrize(
    "rule", [{"match": {"verv": "get"}}, {"effect": "explode"}, {"when": "never"}, {"efect": 500}],
    ids=["unknown field to match", "unknown effect", "unknown moment", "unknown word"],
)  # fmt: skip
def test_a_fault_that_could_never_work_is_refused(api: Api, rule: dict[str, Any]) -> None:
    assert api("POST", "/_sandbox/faults", rule).status == 400


def test_a_watch_can_be_answered_with_410(api: Api) -> None:
    api("POST", "/_sandbox/faults", {"match": {"verb": "watch"}, "effect": 410})
    answer = api("GET", PODS, watch="1")
    assert (answer.status, answer.reason) == (410, "Expired")


def test_after_a_compaction_old_versions_are_gone(api: Api) -> None:
    for name in ("a", "b", "c"):
        api("POST", MAPS, config_map(name))
    first = api("GET", MAPS, limit="1").body["metadata"]
    api("DELETE", f"{MAPS}/b")
    api("POST", "/_sandbox/compact")
    with api.watching(MAPS, resourceVersion=first["resourceVersion"]) as events:
        (event,) = list(events)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    page = api("GET", MAPS, limit="1", **{"continue": first["continue"]})
    assert (page.status, page.reason) == (410, "Expired")
    rest = api("GET", MAPS, limit="5", **{"continue": page.body["metadata"]["continue"]})
    assert [i["metadata"]["name"] for i in rest.body["items"]] == ["c"]
    now = api("GET", MAPS).body["metadata"]["resourceVersion"]
    with api.watching(MAPS, resourceVersion=now) as events:
        api("POST", MAPS, config_map("d"))
        assert next(events)["type"] == "ADDED"


@pytest.mark.parametrize("how", ["reset", "end", "expired"])
def test_watches_can_be_dropped(api: Api, how: str) -> None:
    version = api("GET", MAPS).body["metadata"]["resourceVersion"]
    with api.watching(MAPS, resourceVersion=version) as events:
        api("POST", MAPS, config_map("a"))
        assert next(events)["type"] == "ADDED"
        assert api("POST", "/_sandbox/drop-watches", how=how).body == {"dropped": 1}
        if how == "reset":
            with pytest.raises(urllib3.exceptions.ProtocolError):
                next(events)
        else:
            assert [e["object"]["code"] for e in events] == ([410] if how == "expired" else [])


def test_the_journal_tells_who_did_what(api: Api) -> None:
    api("DELETE", "/_sandbox/journal")
    api("POST", PODS, pod("a"))
    api("PATCH", f"{PODS}/a/status", {"status": {"message": "m"}}, media=MERGE)
    api("GET", f"{PODS}/none")
    seen = [(e["verb"], e["resource"], e["subresource"], e["name"], e["status"], e["user"])
            for e in api("GET", "/_sandbox/journal").body]  # fmt: skip
    assert seen == [
        ("create", "pods", "", "", 201, "system:admin"), ("patch", "pods", "status", "a", 200, "system:admin"),
        ("get", "pods", "", "none", 404, "system:admin"),
    ]  # fmt: skip


def test_tokens_say_who_asks() -> None:
    tokens = {"t1": User(name="system:serviceaccount:kube-system:vpc", groups=("system:authenticated",))}
    with sandbox_server(world=KubeWorld(clock=VirtualClock().now), tokens=tokens) as listening:
        assert Api(listening.url)("GET", PODS).status == 401
        assert Api(listening.url, token="wrong")("GET", PODS).status == 401
        assert Api(listening.url, token="t1")("GET", PODS).status == 200
        assert listening.server.control.journal[-1]["user"] == "system:serviceaccount:kube-system:vpc"


Review = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def webhook(folder: Path, answer: Review) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """A webhook's (base URL, CA bundle, reviews that it got)."""
    certificates, seen = make_certificates(folder, datetime.now(UTC), hosts=("hook.default.svc",)), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(review["request"])
            response = {"uid": review["request"]["uid"], **answer(review["request"])}
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificates.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        bundle = base64.b64encode(certificates.authority.read_bytes()).decode()
        yield f"https://127.0.0.1:{server.server_port}", bundle, seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


RULE = {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def configuration(kind: str, client: dict[str, Any], **more: Any) -> dict[str, Any]:
    hook = {
        "name": "hook.example.com", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "rules": [RULE],
        **more,
    }  # fmt: skip
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "hook"},
            "webhooks": [hook]}  # fmt: skip


MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def test_a_mutating_webhook_patches_and_warns(tmp_path: Path) -> None:
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/metadata/labels", "value": {"m": "1"}}]).encode())
    reply = {"allowed": True, "patchType": "JSONPatch", "patch": patch.decode(), "warnings": ["careful"]}
    with webhook(tmp_path, lambda _: reply) as (url, bundle, seen):
        world = KubeWorld(clock=VirtualClock().now, call_webhook=WebhookCaller({"default/hook": url}))
        with sandbox_server(world=world) as listening:
            api = Api(listening.url)
            client = {"service": {"namespace": "default", "name": "hook", "path": "/mutate"}, "caBundle": bundle}
            selector = {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}
            hook = configuration("MutatingWebhookConfiguration", client, objectSelector=selector)
            assert api("POST", MUTATING, hook).status == 201
            answer = api("POST", PODS, pod("a"), dryRun="All")
            assert answer.body["metadata"]["labels"] == {"m": "1"}
            assert answer.warnings == ['299 - "careful"']
            assert seen[0]["dryRun"] is True
            assert (seen[0]["operation"], seen[0]["namespace"], seen[0]["object"]["metadata"]["name"]) == (
                "CREATE", "default", "a"
            )  # fmt: skip
            assert "m" not in api("POST", PODS, pod("b", labels={"skip": "1"})).body["metadata"]["labels"]
            api("POST", MAPS, config_map("c"))
            assert len(seen) == 1


def test_a_validating_webhook_refuses_with_its_words_and_sees_who_asks(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        changed = request["operation"] == "UPDATE" and request["object"] != request["oldObject"]
        return {"allowed": not changed, "status": {"code": 403, "message": "hands off"}}

    with webhook(tmp_path, answer) as (url, bundle, seen):
        with sandbox_server(world=KubeWorld(clock=VirtualClock().now, call_webhook=WebhookCaller())) as listening:
            api = Api(listening.url)
            hook = configuration("ValidatingWebhookConfiguration", {"url": f"{url}/validate", "caBundle": bundle})
            api("POST", VALIDATING, hook)
            assert api("POST", PODS, pod("a")).status == 201
            refused = api("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, media=MERGE)
            assert (refused.status, refused.reason) == (403, "Forbidden")
            assert refused.body["message"] == 'admission webhook "hook.example.com" denied the request: hands off'
            assert seen[1]["userInfo"]["username"] == "system:admin"
            assert "labels" not in api("GET", f"{PODS}/a").body["metadata"]


@pytest.mark.parametrize(("policy", "status"), [("Ignore", 201), ("Fail", 500)])
def test_the_failure_policy_decides_when_a_webhook_is_away(policy: str, status: int) -> None:
    with sandbox_server(world=KubeWorld(clock=VirtualClock().now, call_webhook=WebhookCaller())) as listening:
        api = Api(listening.url)
        client = {"url": "https://127.0.0.1:1/x", "caBundle": ""}
        api("POST", VALIDATING, configuration("ValidatingWebhookConfiguration", client, failurePolicy=policy))
        assert api("POST", PODS, pod("a")).status == status


def test_a_webhook_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    with webhook(tmp_path / "a", lambda _: {"allowed": True}) as (url, _, seen):
        other = make_certificates(tmp_path / "b", datetime.now(UTC))
        bundle = base64.b64encode(other.authority.read_bytes()).decode()
        with sandbox_server(world=KubeWorld(clock=VirtualClock().now, call_webhook=WebhookCaller())) as listening:
            api = Api(listening.url)
            api("POST", VALIDATING, configuration("ValidatingWebhookConfiguration", {"url": url, "caBundle": bundle}))
            answer = api("POST", PODS, pod("a"))
            assert (answer.status, answer.reason) == (500, "InternalError")
            assert seen == []
