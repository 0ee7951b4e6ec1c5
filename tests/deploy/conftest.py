"""The manifests as written and as kustomize renders them, and an API server to try them on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.control_plane import control_plane

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kubectl() -> str:
    """A kubectl: from the folder of test binaries, else from the PATH."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = shutil.which("kubectl", path=assets) if assets else None
    found = found or shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl")
    return found


@pytest.fixture(scope="session")
def rendered(kubectl: str) -> str:
    """What `kubectl apply -k deploy/base` would send."""
    return subprocess.run(
        [kubectl, "kustomize", str(ROOT / "deploy" / "base")], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="session")
def base() -> list[dict[str, Any]]:
    """The objects in deploy/base, as they are written."""
    folder = ROOT / "deploy" / "base"
    files = [path for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real API server of one's own."""
    with control_plane(tmp_path_factory.mktemp("control-plane") / "run") as found:
        yield found


@pytest.fixture(scope="session")
def installed(kubectl: str, rendered: str, kubeconfig: Path) -> list[str]:
    """kubectl's command line for a cluster that has the base; applied twice, as an upgrade would."""
    command = [kubectl, "--kubeconfig", str(kubeconfig)]
    for _ in range(2):
        subprocess.run(
            [*command, "apply", "--server-side", "--validate=strict", "-f", "-"], input=rendered, text=True, check=True
        )
    return command
