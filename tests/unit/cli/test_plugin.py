"""The command as kubectl's plugin, and what a shell completes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, cli

PROGRAMS = Path(sys.executable).parent


def test_kubectl_finds_the_plugin() -> None:
    kubectl = shutil.which("kubectl") or shutil.which("kubectl", path=os.environ.get("KUBEBUILDER_ASSETS", ""))
    if kubectl is None:
        pytest.skip("no kubectl")
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    done = subprocess.run(
        [kubectl, "vpc-rc", "--version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.startswith("vpc-rc, version "), done.stderr


def test_the_shell_completes_commands() -> None:
    asked = {"_VPC_RC_COMPLETE": "bash_complete", "COMP_WORDS": "vpc-rc ", "COMP_CWORD": "1"}
    done = CliRunner().invoke(cli, prog_name="vpc-rc", env=asked)
    assert {line.partition(",")[2] for line in done.output.split()} == set(COMMANDS)
