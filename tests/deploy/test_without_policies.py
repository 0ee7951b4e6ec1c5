"""An API server that serves no ValidatingAdmissionPolicy, as before Kubernetes 1.30: what we ship installs the way that
the documentation says, and the doctor says who guards annotations."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.doctor import guards
from cli.doctor.finding import State
from common.clock import SystemClock
from common.kube.transport import connect
from tests.kit.control_plane import control_plane

ROOT = Path(__file__).resolve().parents[2]
API = "admissionregistration.k8s.io/v1"
NONE = (
    f"--runtime-config={API}/validatingadmissionpolicies=false,{API}/validatingadmissionpolicybindings=false",
    "--disable-admission-plugins=ValidatingAdmissionPolicy",
)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its kubeconfig."""
    with control_plane(tmp_path_factory.mktemp("older") / "run", flags=NONE) as found:
        yield found


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """The base with the component, as an overlay names it."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    folder = tmp_path / "overlay"
    folder.mkdir()
    text = {"resources": ["../deploy/base"], "components": ["../deploy/components/without-policy"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return folder


@pytest.mark.slow
def test_it_installs_without_them_and_the_doctor_says_who_guards(older: Path, kubectl: str, overlay: Path) -> None:
    command = [kubectl, "--kubeconfig", str(older)]
    with_them = subprocess.run(
        [*command, "apply", "--server-side", "--dry-run=server", "-k", str(ROOT / "deploy" / "policy")],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert 'no matches for kind "ValidatingAdmissionPolicy"' in with_them.stderr
    text = subprocess.run([kubectl, "kustomize", str(overlay)], check=True, capture_output=True, text=True).stdout
    for _ in range(2):
        apply = [*command, "apply", "--server-side", "--validate=strict", "-f", "-"]
        subprocess.run(apply, input=text, text=True, check=True, capture_output=True)
    transport = connect(kubeconfig=older, context="", clock=SystemClock())
    [found] = guards.check(transport)
    assert (found.state, found.what) == (State.MISSING, "annotations guarded by nobody")
    webhook = ROOT / "deploy" / "webhook" / "configurations" / "validating.yaml"
    subprocess.run([*command, "apply", "--server-side", "-f", str(webhook)], check=True, capture_output=True)
    [found] = guards.check(transport)
    assert found.state is State.OK
    assert found.what.startswith("annotations guarded by webhook alone: this API server serves no Validating")
