"""What the view tells while the API server answers, refuses, is silent or lacks the CRD."""

import asyncio
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from common.kube.transport import Request, Response, WatchRefused
from common.model.errors import OutsideError, Unsure
from common.rules.security_groups import PolicySet
from tests.kit.clock import VirtualClock
from webhook.facts import NoSuchAccount, NoSuchKind, Unreadable
from webhook.view import ACCOUNTS, CONFIG, LEGACY, POLICIES, ClusterView
from webhook.watched import ABSENT_SECONDS, LONGEST_WAIT_SECONDS

LABELS = {"app": "web"}


class StandApi:
    """Lists what it was given; every watch is refused as too old, so that the next step is a list again."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {r.path: [] for r in (POLICIES, ACCOUNTS, CONFIG, LEGACY)}
        self.failing: dict[str, Response | OutsideError] = {}
        self.looked_up: list[tuple[str, str]] = []
        self.accounts: dict[tuple[str, str], Mapping[str, str] | OutsideError] = {}

    def send(self, request: Request) -> Response:
        assert request.method == "GET"
        failure = self.failing.get(request.path)
        if isinstance(failure, OutsideError):
            raise failure
        if failure is not None:
            return failure
        wanted = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = [o for o in self.objects[request.path] if wanted in ("", o["metadata"]["name"])]
        return Response(200, json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode())

    def stream(self, request: Request) -> Iterator[bytes]:
        raise WatchRefused(Response(410, b"{}"))

    def look_up(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self.looked_up.append((namespace, name))
        found = self.accounts.get((namespace, name))
        if isinstance(found, OutsideError):
            raise found
        return found


def refusal(status: int, reason: str, message: str) -> Response:
    return Response(status, json.dumps({"kind": "Status", "reason": reason, "message": message}).encode())


NOT_SERVED = Response(404, b'{"kind":"Status","code":404,"reason":"NotFound","details":{}}')
FORBIDDEN = refusal(403, "Forbidden", "securitygrouppolicies is forbidden for alice")
SILENT = Unsure("NewConnectionError", "connection refused")


class Stand:
    def __init__(self) -> None:
        self.api, self.clock = StandApi(), VirtualClock()
        self.view = ClusterView(self.api, self.api.look_up, clock=self.clock, rng=random.Random(0))

    def read(self) -> float:
        """Every list once. The longest wait before the next try."""
        waits = []
        for watched in self.view._all:
            if watched._reflector._version is not None:
                watched.step()
            waits.append(watched.step())
        return max(waits)

    def matched(self, namespace: str = "shop") -> tuple[str, ...]:
        found = self.view.policies(namespace)
        assert isinstance(found, PolicySet)
        return found.match(LABELS, {}).matched

    def missing(self) -> int:
        return len(self.view.missing)

    def why(self) -> str:
        found = self.view.policies("shop")
        assert isinstance(found, Unreadable)
        return found.why


@pytest.fixture
def stand() -> Iterator[Stand]:
    found = Stand()
    yield found
    found.view.close()


def policy(name: str, namespace: str = "shop", version: str = "1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}", "resourceVersion": version},
        "spec": {"podSelector": {}, "securityGroups": {"groupIds": ["sg-1"]}, **spec},
    }


def named(name: str, namespace: str = "kube-system", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}", **more.pop("metadata", {})}, **more}


def test_before_anything_was_read_nothing_is_reported(stand: Stand) -> None:
    assert stand.missing() == 4
    assert stand.why() == "it has not been read yet"
    assert isinstance(stand.view.windows_ipam(), Unreadable)


def test_an_empty_cluster(stand: Stand) -> None:
    stand.read()
    assert stand.missing() == 0
    assert stand.matched() == ()
    assert stand.view.windows_ipam() is False


def test_policies_follow_what_is_listed(stand: Stand) -> None:
    path = POLICIES.path
    stand.api.objects[path] = [policy("b"), policy("a"), policy("c", "bank")]
    stand.read()
    assert (stand.matched(), stand.matched("bank"), stand.matched("none")) == (("a", "b"), ("c",), ())
    stand.api.objects[path] = [policy("b"), policy("a", version="2", podSelector={"matchLabels": {"app": "db"}})]
    stand.read()
    assert (stand.matched(), stand.matched("bank")) == (("b",), ())
    stand.api.objects[path] = [policy("b", version="2", podSelector={"matchLabels": {"app": 5}})]
    stand.read()
    assert stand.matched() == (), "one that cannot be read is none"


def test_without_the_crd(stand: Stand) -> None:
    stand.api.failing[POLICIES.path] = NOT_SERVED
    assert stand.read() <= ABSENT_SECONDS
    assert isinstance(stand.view.policies("shop"), NoSuchKind)
    assert stand.missing() == 0
    del stand.api.failing[POLICIES.path]
    stand.api.objects[POLICIES.path] = [policy("a")]
    stand.read()
    assert stand.matched() == ("a",)


def test_a_crd_that_seems_gone_for_a_moment_leaves_its_policies_in_force(stand: Stand) -> None:
    stand.api.objects[POLICIES.path] = [policy("a")]
    stand.read()
    stand.api.failing[POLICIES.path] = NOT_SERVED
    stand.read()
    assert stand.matched() == ("a",)
    stand.clock.sleep(120)
    stand.read()
    assert isinstance(stand.view.policies("shop"), NoSuchKind)


def test_policies_that_may_not_be_read_are_reported_in_the_api_servers_words(stand: Stand) -> None:
    stand.api.failing[POLICIES.path] = FORBIDDEN
    assert stand.read() <= LONGEST_WAIT_SECONDS
    assert "securitygrouppolicies is forbidden for alice" in stand.why()
    assert stand.missing() == 1
    del stand.api.failing[POLICIES.path]
    stand.read()
    assert stand.matched() == ()
    assert stand.missing() == 0
    stand.api.failing[POLICIES.path] = FORBIDDEN
    stand.read()
    assert "is forbidden" in stand.why(), "also after they were read once"


def test_while_the_api_server_is_silent_the_last_known_state_stands(stand: Stand) -> None:
    stand.api.objects[POLICIES.path] = [policy("a")]
    stand.api.objects[CONFIG.path] = [named("amazon-vpc-cni", data={"enable-windows-ipam": "true"})]
    stand.read()
    for resource in (POLICIES, ACCOUNTS, CONFIG, LEGACY):
        stand.api.failing[resource.path] = SILENT
    stand.read()
    assert stand.matched() == ("a",)
    assert stand.view.windows_ipam() is True
    assert stand.missing() == 0


def test_an_api_server_that_was_never_reached(stand: Stand) -> None:
    stand.api.failing[POLICIES.path] = SILENT
    stand.read()
    assert "connection refused" in stand.why()


@pytest.mark.parametrize(
    ("config", "deployments", "wanted"),
    [
        pytest.param("true", (), True, id="on"),
        pytest.param("false", (), False, id="off"),
        pytest.param(None, (), False, id="no ConfigMap"),
        pytest.param("true", ("vpc-resource-controller",), False, id="the legacy controller is there"),
        pytest.param("true", ("another",), True, id="another Deployment is there"),
    ],
)
def test_windows_ipam(stand: Stand, config: str | None, deployments: tuple[str, ...], wanted: bool) -> None:
    if config is not None:
        data = {"enable-windows-ipam": config}
        stand.api.objects[CONFIG.path] = [named("amazon-vpc-cni", data=data), named("another", data={})]
    stand.api.objects[LEGACY.path] = [named(name) for name in deployments]
    stand.read()
    assert stand.view.windows_ipam() is wanted
    stand.api.objects[CONFIG.path] = []
    stand.read()
    assert stand.view.windows_ipam() is False


def test_windows_is_not_known_while_the_legacy_controller_cannot_be_looked_for(stand: Stand) -> None:
    stand.api.failing[LEGACY.path] = refusal(403, "Forbidden", "deployments.apps is forbidden")
    stand.read()
    found = stand.view.windows_ipam()
    assert isinstance(found, Unreadable)
    assert "deployments.apps is forbidden" in found.why


def test_accounts(stand: Stand) -> None:
    labelled = named("pay", "shop", metadata={"labels": {"team": "pay"}})
    odd = named("odd", "shop", metadata={"labels": {"team": 5, "x": "y"}})
    stand.api.objects[ACCOUNTS.path] = [named("default", "shop"), labelled, odd]
    stand.api.accounts = {("shop", "new"): {"team": "new"}, ("shop", "unsure"): Unsure("Timeout", "too late")}
    stand.read()

    async def ask() -> None:
        assert await stand.view.account("shop", "default") == {}
        assert await stand.view.account("shop", "pay") == {"team": "pay"}
        assert not isinstance(await stand.view.account("shop", "odd"), NoSuchAccount)
        assert stand.api.looked_up == []
        assert await stand.view.account("shop", "new") == {"team": "new"}
        assert isinstance(await stand.view.account("bank", "pay"), NoSuchAccount)
        unsure = await stand.view.account("shop", "unsure")
        assert isinstance(unsure, Unreadable)
        assert "too late" in unsure.why
        assert stand.api.looked_up == [("shop", "new"), ("bank", "pay"), ("shop", "unsure")]
        for name in ("", "../pods/p", "a/b", "A", "a?b", "a" * 300):
            assert isinstance(await stand.view.account("shop", name), NoSuchAccount)
        assert len(stand.api.looked_up) == 3, "what can be no name is not asked for"
        stand.api.objects[ACCOUNTS.path] = []
        stand.read()
        assert isinstance(await stand.view.account("shop", "pay"), NoSuchAccount)

    asyncio.run(ask())


def test_reviews_wait_for_the_first_lists_and_no_longer(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.view.KNOWN_SECONDS", 0.1)
    stand.api.objects[POLICIES.path] = [policy("a")]

    async def ask() -> None:
        await stand.view.known()
        assert stand.why() == "it has not been read yet"
        monkeypatch.setattr("webhook.view.KNOWN_SECONDS", 60)
        waiting = asyncio.create_task(stand.view.known())
        stand.view.start()
        async with asyncio.timeout(5):
            await waiting
        assert stand.matched() == ("a",)

    asyncio.run(ask())
