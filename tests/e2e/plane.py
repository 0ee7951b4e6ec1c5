"""A full real control plane with deploy/base in it, and a kubeconfig for each role's service account."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.webhook_cluster import Cluster
from tests.kit.control_plane import control_plane

ROOT = Path(__file__).parents[2]
_ATTEMPTS = re.compile(r'^authorization_attempts_total\{result="(?P<result>[a-z-]+)"\} (?P<count>\S+)$', re.MULTILINE)

Grant = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


class Plane:
    """An administrator's view of it."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = Cluster(kubeconfig)
        self._forbidden = 0

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        command = [str(Path(os.environ["KUBEBUILDER_ASSETS"]) / "kubectl"), "--kubeconfig", str(self.kubeconfig)]
        return subprocess.run([*command, *arguments], input=given, text=True, check=True, capture_output=True).stdout

    def apply_base(self) -> None:
        """Everything that we ship. The Deployments run, too, as far as anything runs here: they only take up room."""
        rendered = self.kubectl("kustomize", str(ROOT / "deploy" / "base"))
        self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given=rendered)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")

    def kubeconfig_of(self, role: str) -> Path:
        """With a token of the role's service account in place of the administrator's."""
        account = f"/api/v1/namespaces/kube-system/serviceaccounts/vpc-rc-{role}/token"
        token = self.api.make(account, {"spec": {"expirationSeconds": 7200}})["status"]["token"]
        config: dict[str, Any] = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = self.kubeconfig.with_name(f"kubeconfig-{role}")
        path.write_text(json.dumps(config))
        return path

    def asked_by(self, role: str) -> set[Grant]:
        """What the role's service account has asked for so far, and was allowed to."""
        found = set()
        for line in self.kubeconfig.with_name("audit.log").read_text().splitlines():
            entry = json.loads(line)
            about = entry.get("objectRef", {})
            allowed = entry.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
            if allowed and about and entry["user"]["username"] == f"system:serviceaccount:kube-system:vpc-rc-{role}":
                resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
                found.add((about.get("apiGroup", ""), resource, entry["verb"]))
        return found

    def newly_forbidden(self) -> int:
        """Requests that RBAC did not allow, since this was last asked. Refusals of webhooks and of an object's own
        rules do not count."""
        attempts = _ATTEMPTS.findall(self.kubectl("get", "--raw", "/metrics"))
        assert attempts, "the API server does not count attempts of authorization"
        before = self._forbidden
        self._forbidden = sum(int(float(count)) for result, count in attempts if result != "allowed")
        return self._forbidden - before


@contextmanager
def full_plane(folder: Path) -> Iterator[Plane]:
    """Skips where there are no programs for it."""
    audited = (sys.executable, str(Path(__file__).with_name("audited.py")))
    with control_plane(folder, "--full", before=audited) as kubeconfig:
        yield Plane(kubeconfig)
