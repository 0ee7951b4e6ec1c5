"""`vpc-rc sandbox` and `vpc-rc demo` as people run them: processes, their exit status, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.calls import call
from sandbox.processes import ends_with_us
from tests.kit.waiting import until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


def start(*arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VPC_RC_", "AWS_"))}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, env=environment, stdout=file, stderr=file
        )


def when_ready(folder: Path) -> dict[str, Any]:
    """The sandbox's facts."""
    until((folder / "sandbox.json").exists, START_SECONDS, "the sandbox is not ready")
    found = facts_of(folder)
    assert found is not None
    return found


def facts_of(folder: Path) -> dict[str, Any] | None:
    file = folder / "sandbox.json"
    return json.loads(file.read_bytes()) if file.exists() else None


def alive(pid: int) -> bool:
    """Running: a zombie that its parent has not looked at yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Ended at the end, whatever became of them."""
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def test_the_sandbox_serves_nodes_on_both_sides_and_takes_everything_with_it(
    tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    log = tmp_path / "log"
    process = start("sandbox", "--folder", str(tmp_path), "--nodes", "2", "--instance-type", "c5n.large", log=log)
    processes.append(process)
    facts = when_ready(tmp_path)

    nodes = call("GET", f"{facts['kube_url']}/api/v1/nodes")["items"]
    instances = call("GET", f"{facts['ec2_url']}/_sandbox/state")["instances"]
    assert {node["spec"]["providerID"].rpartition("/")[2] for node in nodes} == {one["id"] for one in instances}
    assert [one["instance_type"] for one in instances] == ["c5n.large"] * 2
    cninodes = call("GET", f"{facts['kube_url']}/apis/vpcresources.k8s.aws/v1alpha1/cninodes")["items"]
    assert {one["metadata"]["name"] for one in cninodes} == set(facts["nodes"])
    assert f"export VPC_RC_REDIS_URL={facts['redis_url']}" in log.read_text()

    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert [name for name, pid in facts["pids"].items() if alive(pid)] == []
    assert facts_of(tmp_path) is None


def test_parts_end_with_a_sandbox_that_was_killed(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    process = start("sandbox", "--folder", str(tmp_path), "--no-redis", log=tmp_path / "log")
    processes.append(process)
    facts = when_ready(tmp_path)
    process.kill()
    process.wait()
    until(lambda: not any(alive(pid) for pid in facts["pids"].values()), START_SECONDS, "a part lives on")


def test_a_sandbox_that_lost_a_part_says_so(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    log = tmp_path / "log"
    process = start("sandbox", "--folder", str(tmp_path), "--no-redis", log=log)
    processes.append(process)
    facts = when_ready(tmp_path)
    os.kill(facts["pids"]["ec2"], signal.SIGKILL)
    assert process.wait(30) == 1
    assert "ec2 ended by itself" in log.read_text()
    assert not alive(facts["pids"]["kube"])


def test_a_taken_port_is_one_line(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    first = start("sandbox", "--folder", str(tmp_path / "1"), "--no-redis", "--no-kube", log=tmp_path / "log1")
    processes.append(first)
    facts = when_ready(tmp_path / "1")
    port = facts["ec2_url"].rpartition(":")[2]
    log = tmp_path / "log2"
    second = start("sandbox", "--folder", str(tmp_path / "2"), "--no-redis", "--ec2-port", port, log=log)
    processes.append(second)
    assert second.wait(30) == 1
    assert len(log.read_text().splitlines()) == 1
    assert "in use" in log.read_text()


def test_the_demo_serves_all_pods_releases_them_and_leaves_nothing_running(
    tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    process = start("demo", "--nodes", "3", "--pods", "20", "--folder", str(folder), log=log)
    processes.append(process)
    facts = when_ready(folder)
    assert process.wait(280) == 0, log.read_text()
    said = log.read_text()
    assert "All 20 annotations are valid and agree with EC2" in said
    assert "EC2 holds exactly 3 trunks and the 2 branches of live pods" in said
    assert "throttled 0" in said
    assert [name for name, pid in facts["pids"].items() if alive(pid)] == []
    assert _command_lines_naming(folder) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_demo_that_is_stopped_ends_its_processes(
    number: signal.Signals, status: int, tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    process = start("demo", "--nodes", "1", "--pods", "1", "--folder", str(folder), log=log)
    processes.append(process)
    facts = when_ready(folder)
    until((folder / "flower.log").exists, START_SECONDS, "the product does not start")
    process.send_signal(number)
    time.sleep(0.3)
    # One more does not keep it from ending the others.
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == status
    assert [name for name, pid in facts["pids"].items() if alive(pid)] == []
    assert _command_lines_naming(folder) == []


@pytest.mark.skipif(not ends_with_us(), reason="no setpriv")
def test_what_a_killed_demo_started_ends_with_it(tmp_path: Path, processes: list["subprocess.Popen[bytes]"]) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    process = start("demo", "--nodes", "1", "--pods", "1", "--folder", str(folder), log=log)
    processes.append(process)
    facts = when_ready(folder)
    until((folder / "flower.log").exists, START_SECONDS, "the product does not start")
    process.kill()
    process.wait()
    until(lambda: not any(alive(pid) for pid in facts["pids"].values()), START_SECONDS, "a part lives on")
    until(lambda: _command_lines_naming(folder) == [], START_SECONDS, "a process lives on")


def test_a_demo_whose_process_dies_says_whose_and_shows_its_log(
    tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    process = start("demo", "--nodes", "1", "--pods", "1", "--folder", str(folder), log=log)
    processes.append(process)
    facts = when_ready(folder)
    os.kill(facts["pids"]["ec2"], signal.SIGKILL)
    assert process.wait(60) == 1
    assert "The demo failed: sandbox ended by itself with status 1" in log.read_text()
    assert "ec2 ended by itself" in log.read_text()
    assert _command_lines_naming(folder) == []


def test_more_pods_than_fit_are_refused_before_anything_starts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert start("demo", "--nodes", "1", "--pods", "19", log=log).wait(30) == 2
    assert "19 pods do not fit: 1 nodes of m5.xlarge have 18 branch interfaces" in log.read_text()


def _command_lines_naming(folder: Path) -> list[bytes]:
    """Processes that got this folder as an argument, or inherited it in a variable."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            named = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in named:
            found.append((place / "cmdline").read_bytes())
    return found
