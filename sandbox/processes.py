"""Processes of the demo and of trials: each in a session of its own, with its log in a file, ended by pid."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_FOREIGN = ("VPC_RC_", "AWS_", "KUBECONFIG", "FLOWER_")
"""Variables of the person who starts us that must not reach the processes: they would call a real account."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process has taken so far."""

    cpu_seconds: float
    peak_bytes: int


def usage(pid: int) -> Usage | None:
    """From /proc; None where there is none, or the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    # man 5 proc: utime and stime are fields 14 and 15, of which two are before the last bracket.
    return Usage(cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS, peak_bytes=int(peak) * 1024)


def ends_with_us() -> list[str]:
    """To be put before a command: its process is sent SIGTERM when the thread that started it ends, were it by SIGKILL.
    Where that has ended already the command does not begin, for no signal would come any more. Empty where there is no
    setpriv (util-linux)."""
    program = shutil.which("setpriv")
    if program is None:
        return []
    parent_lives = '[ "$PPID" = "$1" ] && shift && exec "$@"'
    return [program, "--pdeathsig", "TERM", "/bin/sh", "-c", parent_lives, "sh", str(os.getpid())]


class Process:
    """`python -m MODULE ARGUMENTS` with `environment` added to what we have ourselves, settings and AWS left out."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name, self.log = name, log
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        path = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*ends_with_us(), sys.executable, "-m", module, *arguments],
                env={**inherited, "PYTHONPATH": path, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """SIGTERM."""
        if self.status() is None:
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait for it; after so long SIGKILL for everything of its session."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def tail(self, lines: int) -> list[str]:
        """The end of its log."""
        return self.log.read_text(errors="replace").splitlines()[-lines:]


class Processes:
    """All of them, in the order of their start; a context manager that ends them in the opposite order."""

    def __init__(self, stop_seconds: float) -> None:
        """`stop_seconds`: what each has from SIGTERM on."""
        self._stop_seconds = stop_seconds
        self._all: list[Process] = []

    def start(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> Process:
        process = Process(name, module, arguments, environment, log)
        self._all.append(process)
        return process

    def ended(self) -> Process | None:
        """One that ended by itself."""
        return next((process for process in self._all if process.status() is not None), None)

    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self._all}

    def close(self) -> None:
        """The last ones first: workers and watcher before the sandbox that they talk to."""
        groups = [self._all[1:], self._all[:1]]
        for group in groups:
            for process in group:
                process.ask_to_end()
            deadline = time.monotonic() + self._stop_seconds
            for process in group:
                process.end(max(0.1, deadline - time.monotonic()))
        self._all = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
