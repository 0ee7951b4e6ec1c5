"""`vpc-rc redis credentials`."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from common.settings import load_settings
from common.store.acl import Role


def run(folder: Path, *options: str, cluster: str = "shop") -> Result:
    return CliRunner().invoke(
        cli, ["redis", "credentials", "--cluster-name", cluster, "--folder", str(folder), *options]
    )


def test_only_the_owner_reads_what_it_writes_and_it_prints_no_password(tmp_path: Path) -> None:
    done = run(tmp_path / "new")
    assert done.exit_code == 0
    written = {path.name: path for path in (tmp_path / "new").iterdir()}
    assert set(written) == {"users.acl", *Role}
    for path in written.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written["probe"].read_text() not in done.output


def test_every_role_and_every_run_has_another_password(tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        run(tmp_path)
        seen |= {(tmp_path / role).read_text() for role in Role}
    assert len(seen) == 2 * len(Role)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PROBE])
def test_an_url_is_a_setting_as_it_stands(tmp_path: Path, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "--tls", "--address", "redis.example:6380", "--database", "3")
    monkeypatch.setenv("VPC_RC_REDIS_URL", (tmp_path / role).read_text())
    url = load_settings().redis_url.get_secret_value()
    assert url.startswith(f"rediss://vpc-rc-{role}:")
    assert url.endswith("@redis.example:6380/3")
    assert "&/3.celeryev/*" in (tmp_path / "users.acl").read_text()


@pytest.mark.parametrize("name", ["two words", "a\nuser evil on nopass ~* +@all", ""])
def test_a_name_that_is_no_clusters_adds_no_rule(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, cluster=name).exit_code == 2
    assert not any(tmp_path.iterdir())


def test_a_name_with_signs_of_patterns_stands_for_itself(tmp_path: Path) -> None:
    run(tmp_path, cluster="a*[b]?")
    assert r"~vpcrc:a\*\[b\]\?:view:*" in (tmp_path / "users.acl").read_text()
