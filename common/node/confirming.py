"""Ask the API server itself before anything is taken for gone."""

from common.model.actions import ConfirmGone, ConfirmNodeGone
from common.model.ids import PodUid
from common.model.ledger import Backoff
from common.node.state import NodeState, Planning
from common.rules import subjects

STILL_THERE_SECONDS = 5.0
"""The watch said it ended and the API server says it lives: asked again after this long."""


def ask_about_pod(state: Planning, uid: PodUid, namespace: str, name: str) -> None:
    subject = subjects.pod(uid)
    if state.may(subject):
        state.start(ConfirmGone(subject=subject, pod_uid=uid, namespace=namespace, name=name))


def still_there(state: NodeState, action: ConfirmGone | ConfirmNodeGone) -> None:
    state.set_backoff(action.subject, Backoff(not_before=state.now + STILL_THERE_SECONDS))
