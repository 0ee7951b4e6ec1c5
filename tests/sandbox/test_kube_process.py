"""The API server as a process of its own: `python -m sandbox.kube`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.sandbox.kube_fixtures import ROOT, Api


def test_the_command_says_when_it_is_ready_writes_a_kubeconfig_and_ends_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.kube", "--tls", "--kubeconfig", str(tmp_path / "kubeconfig"),
               "--crds", str(ROOT / "deploy/crds"), "--token", "secret=somebody,system:masters"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        word, url = process.stdout.readline().split()
        assert (word, url.split(":")[0]) == ("ready", "https")
        config = json.loads((tmp_path / "kubeconfig").read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        assert (cluster["server"], user["token"]) == (url, "secret")
        api = Api(url, token=user["token"], authority=cluster["certificate-authority"])
        assert api("GET", "/apis/vpcresources.k8s.aws/v1alpha1/cninodes").body["items"] == []
        assert Api(url, authority=cluster["certificate-authority"])("GET", "/api/v1/pods").status == 401
        assert api("GET", "/_sandbox/journal").body[0]["user"] == "somebody"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
