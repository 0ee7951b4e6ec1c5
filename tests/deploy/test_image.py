"""The image, the compose file and the lock that both are built from."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("build", "runtime", "sandbox", "tracing", "dev")


def locked(name: str) -> dict[str, str]:
    """The entries of a lock: distribution name to the whole entry."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {re.split(r"[=\[ ]", entry, maxsplit=1)[0].lower(): entry for entry in entries if entry.strip()}


def required(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return {re.split(r"[\[><=~! ]", want, maxsplit=1)[0].lower() for want in wanted}


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_distribution_has_a_version_and_hashes(name: str) -> None:
    entries = locked(name)
    assert entries
    for distribution, entry in entries.items():
        assert re.match(r"\S+==\S+", entry), distribution
        assert "--hash=sha256:" in entry, distribution


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_names_no_package_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("runtime", ()),
        ("sandbox", ("sandbox",)),
        ("tracing", ("tracing",)),
        ("dev", ("sandbox", "tracing", "dev")),
    ],
)
def test_the_lock_covers_what_the_project_requires(name: str, extras: tuple[str, ...]) -> None:
    assert required(*extras) <= set(locked(name))


def test_what_two_locks_have_in_common_has_one_version_in_both() -> None:
    whole = locked("dev")
    for name in ("runtime", "sandbox", "tracing"):
        for distribution, entry in locked(name).items():
            assert entry.split()[0] == whole[distribution].split()[0], (name, distribution)


def test_the_image_has_tracing_only_where_that_is_asked_for() -> None:
    assert "ARG LOCK=runtime" in (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    assert not {name for name in locked("runtime") if name.startswith("opentelemetry")}


def test_the_image_is_built_in_stages_and_runs_as_nobody() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    final = lines[stages[-1] :]
    assert "USER 65532:65532" in final
    assert not any(line.startswith("RUN ") for line in final)
    assert 'ENTRYPOINT ["vpc-rc"]' in final


DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("base", "released"),
    [
        (f"python:3.11-slim@{DIGEST}", True),
        (f"registry.example:5000/python@{DIGEST}", True),
        ("python:3.11-slim", False),
        ("", False),
        ("python:3.11-slim@sha256:0a", False),
        (f"python:3.11-slim@{DIGEST} --build-arg X=y", False),
    ],
)
def test_an_image_on_a_base_without_digest_is_not_released(base: str, released: bool) -> None:
    """By the workflow's own step, which comes before everything else of the image, and the base that it looks at is the
    one that is built on."""
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]["image"]
    first, (build,) = job["steps"][0], [step for step in job["steps"] if "build-push-action" in step.get("uses", "")]
    assert job["env"]["BASE_IMAGE"] == "${{ vars.BASE_IMAGE }}"
    assert build["with"]["build-args"] == "PYTHON=${{ env.BASE_IMAGE }}"
    environment = {"PATH": os.environ["PATH"], "BASE_IMAGE": base}
    done = subprocess.run(["bash", "-e", "-c", first["run"]], env=environment, check=False, capture_output=True)
    assert (done.returncode == 0) == released


def test_the_image_gets_every_package_of_the_project() -> None:
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    ignore = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{pattern.removesuffix('*')}" for pattern in include} <= set(ignore)


def test_compose_starts_every_part() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert set(services) == {"redis", "sandbox", "watcher", "worker", "flower"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for name in ("watcher", "worker", "flower"):
        assert services[name]["command"] == [name]
        assert set(services[name]["depends_on"]) == {"redis", "sandbox"}
        assert services[name]["environment"]["VPC_RC_REDIS_URL"].startswith("redis://redis:")


def test_compose_accepts_its_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode:
        pytest.skip("no docker compose")
    subprocess.run([docker, "compose", "config", "--quiet"], cwd=ROOT, check=True)


def test_a_release_checks_builds_describes_and_signs_the_image_it_names() -> None:
    """What can be seen of a workflow that only its own service can run."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    check, image = workflow["jobs"]["check"], workflow["jobs"]["image"]
    assert image["needs"] == "check"
    assert [step["run"].split()[-1] for step in check["steps"] if "run" in step][-1] == ".ci/run"
    built = next(step["with"] for step in image["steps"] if step.get("id") == "build")
    assert (ROOT / built["file"]).is_file()
    assert (built["sbom"], built["push"]) == (True, True)
    assert image["permissions"]["id-token"] == "write"
    assert any("cosign sign" in step.get("run", "") for step in image["steps"])
    assert workflow["permissions"] == {}
    assert "NEVER RUN" in (ROOT / ".github/workflows/release.yml").read_text()


def test_the_versions_that_a_release_compares_are_the_same() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "deploy/helm/vpc-resource-controller/Chart.yaml").read_text())
    assert str(chart["appVersion"]) == version
