"""A real Kubernetes control plane, where there are programs for it."""

import os
import shlex
import shutil
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
SCRIPT_BESIDE = ROOT.parent / "shared" / "envtest" / "control-plane"
STOP_SECONDS = 60
API_SERVER = "kube-apiserver"


@contextmanager
def control_plane(folder: Path, *options: str, before: Sequence[str] = (), flags: Sequence[str] = ()) -> Iterator[Path]:
    """Its administrator's kubeconfig, which is JSON. `options` are the script's; `before` is a command that runs the
    script; `flags` are kube-apiserver's, beside those of the script. Skips where there is none."""
    if not os.environ.get(ASSETS):
        pytest.skip(f"{ASSETS} names no control plane")
    script = Path(os.environ.get(SCRIPT) or SCRIPT_BESIDE)
    if not script.exists():
        pytest.skip(f"no script that starts a control plane at {script}; {SCRIPT} names another")
    if flags:
        script = _with_flags(script, folder.parent / f"{folder.name}-script", flags)
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


def _with_flags(script: Path, folder: Path, flags: Sequence[str]) -> Path:
    """A copy of the script that finds, beside itself, a `setup` that names a kube-apiserver with these flags."""
    assets = folder / "assets"
    assets.mkdir(parents=True)
    for program in Path(os.environ[ASSETS]).iterdir():
        if program.name != API_SERVER:
            (assets / program.name).symlink_to(program)
    real = Path(os.environ[ASSETS]) / API_SERVER
    for path, text in (
        (assets / API_SERVER, f'exec {shlex.join([str(real)])} "$@" {shlex.join(flags)}'),
        (folder / "setup", f"echo {shlex.quote(str(assets))}"),
    ):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return Path(shutil.copy(script, folder / script.name))
