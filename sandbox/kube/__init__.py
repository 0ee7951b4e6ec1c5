"""The Kubernetes API sandbox: a deterministic model of an API server, and an HTTP server in front of it.
No product code may live or be imported here; what a real API server does is checked by the conformance test."""

from sandbox.kube.world import KubeWorld, Response, User

__all__ = ["KubeWorld", "Response", "User"]
