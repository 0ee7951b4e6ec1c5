"""Reads and writes of CNINodes. What is not ours in them (finalizers, owners, tags, labels) is kept."""

from collections.abc import Mapping
from typing import Any

from common.kube.calls import CONFLICT_TRIES, Calls, check_uid
from common.kube.decode import cninode_facts
from common.kube.paths import CNINODE_VERSION, CNINODES, path_of
from common.kube.raw import Untyped
from common.kube.status import UID_MISMATCH, answered, is_missing, object_in, succeeded
from common.kube.transport import Request
from common.model.errors import Conflict, NotFound, Unsure
from common.model.ids import NodeName
from common.model.names import CNINODE_FINALIZER, LABEL_OS
from common.model.node import CniNodeFacts, CniNodeSpec


class CniNodeCalls(Calls):
    def get_cninode(self, name: NodeName) -> CniNodeFacts | None:
        """None only where the API server says that there is none. Raises NotFound where the CRD does not exist,
        OutsideError."""
        raw = self._read(CNINODES, name)
        if raw is None:
            return None
        facts = cninode_facts(raw)
        if facts is None:
            raise Unsure("MalformedCNINode", name)
        return facts

    def create_cninode(
        self, name: NodeName, node_uid: str, os_label: str, spec: CniNodeSpec, finalizer: bool = True
    ) -> None:
        """Create it, owned by its node. Raises Conflict where one is there already, NotFound where the CRD does not
        exist, OutsideError."""
        metadata: dict[str, Any] = {"name": name, "ownerReferences": [_owner(name, node_uid, controller=True)]}
        if os_label:
            metadata["labels"] = {LABEL_OS: os_label}
        if finalizer:
            metadata["finalizers"] = [CNINODE_FINALIZER]
        features = [{"name": f.name, "value": f.value} if f.value else {"name": f.name} for f in spec.features]
        fields: dict[str, Any] = {"features": features} if features else {}
        if spec.tags:
            fields["tags"] = dict(spec.tags)
        if spec.managed_by:
            fields["managedBy"] = spec.managed_by
        body = {"apiVersion": CNINODE_VERSION, "kind": "CNINode", "metadata": metadata, "spec": fields}
        answered(self._transport.send(Request("POST", CNINODES, body=body)))

    def repair_cninode(
        self,
        name: NodeName,
        facts: CniNodeFacts,
        *,
        tags: Mapping[str, str],
        os_label: str,
        owner: tuple[NodeName, str] | None,
        finalizer: bool,
    ) -> None:
        """Add what is missing or wrong: tags, label, owner (name and uid of the node), finalizer. Raises NotFound,
        Conflict where it is another than `facts` or changes all the time, OutsideError."""

        def missing(found: Untyped) -> dict[str, Any]:
            metadata, patch = found["metadata"], {}
            changes: dict[str, Any] = {}
            have = (found.get("spec") or {}).get("tags") or {}
            if wrong := {key: value for key, value in tags.items() if have.get(key) != value}:
                patch["spec"] = {"tags": wrong}
            if os_label and (metadata.get("labels") or {}).get(LABEL_OS) != os_label:
                changes["labels"] = {LABEL_OS: os_label}
            finalizers = metadata.get("finalizers") or []
            # The API server refuses new finalizers on an object that is being deleted.
            if finalizer and CNINODE_FINALIZER not in finalizers and not metadata.get("deletionTimestamp"):
                changes["finalizers"] = [*finalizers, CNINODE_FINALIZER]
            if owner is not None and (owners := _with_owner(metadata.get("ownerReferences") or [], *owner)) is not None:
                changes["ownerReferences"] = owners
            return patch | ({"metadata": changes} if changes else {})

        self._revise(name, facts.uid, missing)

    def drop_finalizer(self, name: NodeName, uid: str) -> None:
        """Take our finalizer away. Nothing to do where this CNINode is gone. Raises Conflict, OutsideError."""

        def without(found: Untyped) -> dict[str, Any]:
            finalizers = found["metadata"].get("finalizers") or []
            kept = [entry for entry in finalizers if entry != CNINODE_FINALIZER]
            return {"metadata": {"finalizers": kept}} if kept != finalizers else {}

        try:
            self._revise(name, uid, without)
        except NotFound:
            return
        except Conflict as error:
            if error.code != UID_MISMATCH:
                raise

    def delete_cninode(self, name: NodeName, uid: str | None = None) -> None:
        """Ask for its deletion; finalizers hold it. Nothing to do where it (or the one of this uid) is gone. Raises
        OutsideError."""
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        response = self._transport.send(Request("DELETE", path_of(CNINODES, name), body=body))
        if response.status == 409 and uid is not None:
            return
        if not is_missing(response, name):
            succeeded(response)

    def _revise(self, name: NodeName, uid: str, change: Any) -> None:
        """Patch what `change` finds in the object as it stands; an empty change is no call, and of an object that is
        another controller's by now nothing is changed."""
        path = path_of(CNINODES, name)
        for last in (*[False] * (CONFLICT_TRIES - 1), True):
            found: Untyped = object_in(self._transport.send(Request("GET", path)), name)
            metadata = found["metadata"]
            check_uid(metadata.get("uid", ""), uid, f"CNINode {name}")
            facts = cninode_facts(found)
            patch = {} if facts is not None and facts.spec.of_another else change(found)
            if not patch:
                return
            guard = {"uid": uid, "resourceVersion": metadata.get("resourceVersion")}
            patch["metadata"] = {**patch.get("metadata", {}), **guard}
            try:
                self._patch(path, name, patch)
                return
            except Conflict:
                if last:
                    raise


def _owner(name: NodeName, uid: str, *, controller: bool) -> dict[str, Any]:
    owner: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    return owner | {"controller": True} if controller else owner


def _with_owner(owners: list[dict[str, Any]], name: NodeName, uid: str) -> list[dict[str, Any]] | None:
    """The owners with this node among them; None where it is there already. A reference to an earlier node of the
    same name makes way; an object has one controller at most."""
    if any(o.get("uid") == uid for o in owners):
        return None
    others = [o for o in owners if not (o.get("kind") == "Node" and o.get("name") == name)]
    return [*others, _owner(name, uid, controller=not any(o.get("controller") for o in others))]
