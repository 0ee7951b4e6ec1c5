"""Processes of the demo and the sandbox end with whoever started them."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.processes import ends_with_us

pytestmark = pytest.mark.skipif(not ends_with_us(), reason="no setpriv")


def test_a_command_begins_under_the_process_that_starts_it(tmp_path: Path) -> None:
    assert subprocess.run([*ends_with_us(), "touch", str(tmp_path / "begun")], check=False).returncode == 0
    assert (tmp_path / "begun").exists()


def test_a_command_does_not_begin_once_its_parent_has_ended(tmp_path: Path) -> None:
    """Killed between fork and exec, the parent leaves a child that hears of no death any more."""
    command = [*ends_with_us(), "touch", str(tmp_path / "begun")]
    by_another = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"]
    assert subprocess.run([*by_another, *command], check=False).returncode == 1
    assert not (tmp_path / "begun").exists()
