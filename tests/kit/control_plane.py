"""A real Kubernetes control plane, where there are programs for it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASSETS = "KUBEBUILDER_ASSETS"
"""Names the folder of kube-apiserver, etcd and kubectl."""
SCRIPT = "VPC_RC_TEST_CONTROL_PLANE"
"""Names another script that starts them than the one beside the checkout."""
STOP_SECONDS = 60


@contextmanager
def control_plane(folder: Path, *options: str, before: Sequence[str] = ()) -> Iterator[Path]:
    """Its administrator's kubeconfig, which is JSON. `options` are the script's; `before` is a command that runs the
    script. Skips where there is none."""
    if not os.environ.get(ASSETS):
        pytest.skip(f"{ASSETS} names no control plane")
    script = Path(os.environ.get(SCRIPT) or ROOT.parent / "shared" / "envtest" / "control-plane")
    if not script.exists():
        pytest.skip(f"no script that starts a control plane at {script}; {SCRIPT} names another")
    command = [*before, str(script), str(folder), "--watch-stdin", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            assert words[:1] == ["ready"], f"the control plane does not start: {words}"
            yield Path(words[1])
        finally:
            process.stdin.close()
            process.wait(STOP_SECONDS)
