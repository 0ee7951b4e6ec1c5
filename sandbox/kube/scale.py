"""The scale subresource of Deployments, for `kubectl scale`."""

from __future__ import annotations

from sandbox.kube.resources import Object


def scale_of(deployment: Object) -> Object:
    """The autoscaling/v1 Scale of a Deployment."""
    metadata = deployment["metadata"]
    named = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    chosen = deployment["spec"].get("selector", {}).get("matchLabels") or {}
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {k: metadata[k] for k in named},
        "spec": {"replicas": deployment["spec"]["replicas"]},
        "status": {
            "replicas": deployment.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in chosen.items()),
        },
    }  # fmt: skip


def scaled(deployment: Object, scale: Object) -> Object:
    """The Deployment with the replicas that the Scale asks for; its resourceVersion stays the condition."""
    deployment["spec"]["replicas"] = int(scale["spec"].get("replicas", 0))
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        deployment["metadata"]["resourceVersion"] = version
    return deployment
