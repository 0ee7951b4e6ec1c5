"""The validating webhooks, sentence by sentence."""

from pathlib import Path

import pytest
import yaml

from tests.unit.webhook.stand import ENI, FARGATE, IP, OWN_ACCOUNT, Object, StandView, answer, outcome, pod, review
from tests.unit.webhook.updates import (
    CNI,
    CONTROLLER,
    CREATED,
    NODE_CHANGES_OF_THE_CNI,
    NODES,
    OTHER_NODE_REQUESTS,
    OTHER_REQUESTS,
    OTHERS,
    UPDATED,
    USERS,
    node,
    node_update,
    updated,
)
from webhook.facts import Unreadable
from webhook.review import VALIDATE_NODE, VALIDATE_POD

ALLOWED: Object = {"allowed": True}
FORBIDDEN: Object = {"allowed": False, "code": 403, "reason": "Forbidden"}
BAD: Object = {"allowed": False, "code": 400, "reason": ""}


@pytest.mark.parametrize("ipam", [True, False])
@pytest.mark.parametrize("sentence", CREATED)
def test_created(sentence: str, ipam: bool) -> None:
    guarded = sentence in ("with pod-eni", "with empty pod-eni", "with all three")
    wanted = FORBIDDEN if guarded or (sentence == "with Windows address" and ipam) else ALLOWED
    for username in (*USERS, *OTHERS, OWN_ACCOUNT):
        sent = review(pod(annotations=CREATED[sentence]), username=username)
        assert outcome(StandView(ipam=ipam), VALIDATE_POD, sent) == wanted, username


@pytest.mark.parametrize("ipam", [True, False])
@pytest.mark.parametrize("sentence", UPDATED)
def test_updated(sentence: str, ipam: bool) -> None:
    old, new = UPDATED[sentence]
    for username in (*USERS, OWN_ACCOUNT, *OTHERS):
        wanted = ALLOWED
        if not sentence.endswith("kept"):
            if sentence.startswith(FARGATE):
                wanted = FORBIDDEN
            elif sentence.startswith(ENI) or ipam:
                wanted = FORBIDDEN if username in OTHERS else ALLOWED
        assert outcome(StandView(ipam=ipam), VALIDATE_POD, updated(old, new, username)) == wanted, username


@pytest.mark.parametrize("key", [ENI, IP, FARGATE])
@pytest.mark.parametrize("old", [None, {}])
def test_an_annotation_added_with_an_empty_value_is_guarded(key: str, old: dict[str, str] | None) -> None:
    assert outcome(StandView(ipam=True), VALIDATE_POD, updated(old, {key: ""}, "alice")) == FORBIDDEN


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("CREATE without object", BAD),
        ("UPDATE without object", BAD),
        ("UPDATE without old object", BAD),
        ("DELETE", ALLOWED),
        ("DELETE without old object", ALLOWED),
        ("CONNECT", ALLOWED),
        ("labels changed", ALLOWED),
        ("no annotations on either", ALLOWED),
        ("other annotation changed", ALLOWED),
        ("status subresource adds pod-eni", FORBIDDEN),
        ("administrator's groups do not matter", FORBIDDEN),
        ("two annotations by the controller, one of them Fargate groups", FORBIDDEN),
    ],
)
def test_other_requests(sentence: str, wanted: Object) -> None:
    assert outcome(StandView(), VALIDATE_POD, OTHER_REQUESTS[sentence]) == wanted


def test_while_it_is_not_known_whether_windows_is_managed_its_annotation_is_guarded() -> None:
    view = StandView(ipam=Unreadable(why="it has not been read yet"))
    assert outcome(view, VALIDATE_POD, updated(None, {IP: "10.0.0.1/19"}, "alice")) == FORBIDDEN
    assert outcome(view, VALIDATE_POD, updated(None, {IP: "10.0.0.1/19"}, CONTROLLER)) == ALLOWED


def test_annotations_that_cannot_be_read_are_refused() -> None:
    odd = {"metadata": {"annotations": {ENI: 1}}}
    assert outcome(StandView(), VALIDATE_POD, review(odd)) == BAD
    assert outcome(StandView(), VALIDATE_POD, review(pod(), old=odd, operation="UPDATE")) == BAD


@pytest.mark.parametrize("sentence", NODES)
def test_nodes(sentence: str) -> None:
    old, new = NODES[sentence]
    wanted = ALLOWED if sentence in NODE_CHANGES_OF_THE_CNI else FORBIDDEN
    assert outcome(StandView(), VALIDATE_NODE, node_update(old, new, CNI)) == wanted
    for username in ("alice", "system:node:n-1", CONTROLLER, ""):
        assert outcome(StandView(), VALIDATE_NODE, node_update(old, new, username)) == ALLOWED


@pytest.mark.parametrize("labels", [None, {}, "left out"])
def test_the_first_label_of_a_node_may_be_the_cnis(labels: object) -> None:
    old = node(labels=None)
    if labels == "left out":
        del old["metadata"]["labels"]
    else:
        old["metadata"]["labels"] = labels
    new = {**old, "metadata": {**old["metadata"], "labels": {"vpc.amazonaws.com/has-trunk-attached": "false"}}}
    assert outcome(StandView(), VALIDATE_NODE, node_update(old, new, CNI)) == ALLOWED
    assert outcome(StandView(), VALIDATE_NODE, node_update(new, old, CNI)) == ALLOWED
    new["metadata"]["labels"] = {"other": "label"}
    assert outcome(StandView(), VALIDATE_NODE, node_update(old, new, CNI)) == FORBIDDEN


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("by alice, UPDATE without objects", ALLOWED),
        ("by aws-node of another namespace, another label", ALLOWED),
        ("by aws-node, UPDATE without object", BAD),
        ("by aws-node, UPDATE without old object", BAD),
        ("by aws-node, status subresource", FORBIDDEN),
    ],
)
def test_other_node_requests(sentence: str, wanted: Object) -> None:
    assert outcome(StandView(), VALIDATE_NODE, OTHER_NODE_REQUESTS[sentence]) == wanted


def test_nodes_that_are_no_objects() -> None:
    assert outcome(StandView(), VALIDATE_NODE, node_update([], node(), CNI)) == BAD
    assert outcome(StandView(), VALIDATE_NODE, node_update({"metadata": 1}, {"metadata": 2}, CNI)) == FORBIDDEN


def test_a_label_that_the_metadata_cannot_forge() -> None:
    """The comparison keeps labels apart under a name of its own; an object that has that name does not get by."""
    old = {**node(), "labels of metadata": {"x": "y"}}
    new = {**node({"x": "y"}), "labels of metadata": {}}
    assert outcome(StandView(), VALIDATE_NODE, node_update(old, new, CNI)) == FORBIDDEN


def test_the_vpc_cni_is_refused_in_the_words_that_people_match() -> None:
    response = answer(StandView(), VALIDATE_NODE, node_update(node(), node({"x": "y"}), CNI))
    assert response["status"]["message"] == "aws-node can only update limited fields on the Node Object"
    assert (response["status"]["code"], response["status"]["reason"]) == (403, "Forbidden")


SECRET: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "n-1"}}
LARGE = node(annotations={"a": "b" * 1024 * 1024})


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        pytest.param(VALIDATE_NODE, node_update(None, None, CNI), id="node: neither object"),
        pytest.param(VALIDATE_NODE, node_update(node(), None, CNI), id="node: no object"),
        pytest.param(VALIDATE_NODE, node_update(None, node(), CNI), id="node: no old object"),
        pytest.param(VALIDATE_NODE, node_update(None, node(), CNI, subResource="status"), id="status: no old object"),
        pytest.param(
            VALIDATE_NODE,
            review(node(), old=node(), operation="UPDATE", kind="Secret", username=CNI),
            id="node: a request about a Secret",
        ),
        pytest.param(VALIDATE_NODE, node_update(node(), SECRET, CNI), id="node: the object is a Secret"),
        pytest.param(VALIDATE_NODE, node_update(SECRET, node(), CNI), id="node: the old object is a Secret"),
        pytest.param(VALIDATE_NODE, node_update(pod(), pod(), CNI), id="node: both objects are pods"),
        pytest.param(VALIDATE_NODE, node_update(LARGE, node(), CNI), id="node: larger than any node"),
        pytest.param(VALIDATE_POD, review(pod(), kind="Secret"), id="pod: CREATE of a Secret"),
        pytest.param(VALIDATE_POD, review(SECRET), id="pod: the object is a Secret"),
        pytest.param(VALIDATE_POD, review(pod(), old=SECRET, operation="UPDATE"), id="pod: the old object is a Secret"),
        pytest.param(VALIDATE_POD, review({**pod(), "apiVersion": "apps/v1"}), id="pod: of another group"),
    ],
)
def test_what_cannot_be_judged_is_denied(path: str, sent: Object) -> None:
    assert outcome(StandView(), path, sent) == BAD


def test_objects_that_do_not_say_their_kind_are_judged_as_what_the_path_is_for() -> None:
    untyped = {"metadata": {"annotations": {ENI: "[]"}}}
    assert outcome(StandView(), VALIDATE_POD, review(untyped, kind="")) == FORBIDDEN
    bare = {key: value for key, value in node().items() if key not in ("apiVersion", "kind")}
    assert outcome(StandView(), VALIDATE_NODE, node_update(bare, bare, CNI)) == ALLOWED


def test_the_registration_asks_for_nodes_and_their_status() -> None:
    file = Path(__file__).parents[3] / "deploy" / "webhook" / "configurations" / "validating.yaml"
    (registration,) = yaml.safe_load_all(file.read_text())
    asked = {resource for hook in registration["webhooks"] for rule in hook["rules"] for resource in rule["resources"]}
    assert {"nodes", "nodes/status"} <= asked
