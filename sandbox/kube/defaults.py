"""Defaults and validation of built-in kinds: as much of the real API server's as controllers can notice."""

from __future__ import annotations

import base64
import copy
from typing import Any

from sandbox.kube.resources import Object
from sandbox.kube.schema import Cause
from sandbox.kube.status import bad_request


def fill(kind: str, obj: Object) -> None:
    """Sets defaults in place, as the API server does on create and update."""
    match kind:
        case "Pod":
            _fill_pod_spec(obj.setdefault("spec", {}))
            obj.setdefault("status", {}).setdefault("phase", "Pending")
            obj["status"].setdefault("qosClass", _quality(obj["spec"]))
        case "Node":
            _fill_node(obj)
        case "Namespace":
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
            obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            obj.setdefault("status", {}).setdefault("phase", "Active")
        case "Deployment":
            spec = obj.setdefault("spec", {})
            spec.setdefault("replicas", 1)
            _fill_pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
            rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
            spec.setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
            obj.setdefault("status", {})
        case "ConfigMap":
            _check_texts(obj)
        case "Secret":
            for key, text in (obj.pop("stringData", None) or {}).items():
                obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
            obj.setdefault("type", "Opaque")
        case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
            _fill_webhooks(kind, obj)


def _fill_node(obj: Object) -> None:
    obj.setdefault("spec", {})
    status = obj.setdefault("status", {})
    for field in ("capacity", "allocatable"):
        _stringify(status.get(field))
        if field in status and not status[field]:
            del status[field]
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _check_texts(obj: Object) -> None:
    for key, value in (obj.get("data") or {}).items():
        if not isinstance(value, str):
            raise bad_request(
                'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal '
                f"{type(value).__name__} into Go struct field ConfigMap.data of type string ({key})"
            )


def _fill_webhooks(kind: str, obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("timeoutSeconds", 10)
        hook.setdefault("matchPolicy", "Equivalent")
        hook.setdefault("namespaceSelector", {})
        hook.setdefault("objectSelector", {})
        for rule in hook.get("rules") or ():
            rule.setdefault("scope", "*")
        if kind.startswith("Mutating"):
            hook.setdefault("reinvocationPolicy", "Never")


def _fill_pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccount" in spec or "serviceAccountName" in spec:
        name = spec.get("serviceAccountName") or spec.get("serviceAccount")
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.setdefault("resources", {})
        _stringify(resources.get("limits"))
        _stringify(resources.get("requests"))
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
        image = str(container.get("image", ""))
        latest = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")


def _stringify(quantities: Object | None) -> None:
    for name, value in (quantities or {}).items():
        if isinstance(value, (int, float)) and quantities is not None:
            quantities[name] = str(value)


def _quality(spec: Object) -> str:
    named = [c.get("resources") or {} for c in spec.get("containers") or ()]
    pairs = [(r.get("requests") or {}).get(q) for r in named for q in ("cpu", "memory")]
    if not any(pairs):
        return "BestEffort"
    limits = [(r.get("limits") or {}).get(q) for r in named for q in ("cpu", "memory")]
    return "Guaranteed" if all(pairs) and pairs == limits else "Burstable"


def check(kind: str, obj: Object) -> list[Cause]:
    """What makes a new object of a built-in kind invalid."""
    match kind:
        case "Pod":
            return _check_pod_spec(obj["spec"], "spec")
        case "Deployment":
            found = _check_pod_spec(obj["spec"]["template"]["spec"], "spec.template.spec")
            chosen = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
            if not obj["spec"].get("selector"):
                return [*found, ("FieldValueRequired", "spec.selector", "Required value")]
            labels = (obj["spec"]["template"].get("metadata") or {}).get("labels") or {}
            if any(labels.get(k) != v for k, v in chosen.items()):
                words = "Invalid value: `selector` does not match template `labels`"
                found.append(("FieldValueInvalid", "spec.template.metadata.labels", words))
            return found
        case "Event":
            involved = obj.get("involvedObject") or {}
            wanted = involved.get("namespace") or "default"
            if obj["metadata"].get("namespace") != wanted and involved:
                words = f'Invalid value: "{involved.get("namespace", "")}": does not match event.namespace'
                return [("FieldValueInvalid", "involvedObject.namespace", words)]
    return []


def _check_pod_spec(spec: Object, at: str) -> list[Cause]:
    if not spec.get("containers"):
        return [("FieldValueRequired", f"{at}.containers", "Required value")]
    found: list[Cause] = []
    for i, container in enumerate(spec["containers"]):
        found += [
            ("FieldValueRequired", f"{at}.containers[{i}].{required}", "Required value")
            for required in ("name", "image")
            if not container.get(required)
        ]
        limits, requests = (container["resources"].get(k) or {} for k in ("limits", "requests"))
        for name, value in requests.items():
            if "/" in name and name not in limits:
                words = "Required value: Limit must be set for non overcommitable resources"
                found.append(("FieldValueRequired", f"{at}.containers[{i}].resources.limits", words))
            elif "/" in name and limits[name] != value:
                field = f"{at}.containers[{i}].resources.requests"
                words = f'Invalid value: "{value}": must be equal to {name} limit of {limits[name]}'
                found.append(("FieldValueInvalid", field, words))
    return found


def check_pod_update(new: Object, old: Object) -> list[Cause]:
    """A pod's spec may change in a few fields only."""
    if _fixed(new["spec"], old["spec"]) == _fixed(old["spec"], old["spec"]):
        return []
    words = (
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
        "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [("FieldValueForbidden", "spec", words)]


def check_node_update(new: Object, old: Object) -> list[Cause]:
    """A node keeps its provider id once it has one."""
    had = old["spec"].get("providerID")
    if not had or new["spec"].get("providerID") == had:
        return []
    words = 'Forbidden: node updates may not change providerID except from "" to valid'
    return [("FieldValueForbidden", "spec.providerID", words)]


def _fixed(spec: Object, old: Object) -> Any:
    fixed = copy.deepcopy({k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "schedulingGates")})
    for container in [*(fixed.get("containers") or ()), *(fixed.get("initContainers") or ())]:
        container.pop("image", None)
    if all(t in (spec.get("tolerations") or ()) for t in old.get("tolerations") or ()):
        fixed.pop("tolerations", None)
    return fixed
