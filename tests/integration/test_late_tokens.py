"""A token file that is not there when a process starts, for each role: it waits, says so, and goes on when it comes."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from sandbox.ports import free_port
from tests.integration.rig import Process, Rig, running
from webhook.certificates import self_signed

WAITS_SECONDS = 10.0
GOES_ON_SECONDS = 35.0
"""A list that failed is tried again after 30 s at most."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, watchers=0, workers=0) as (found, _):
        yield found
        assert found.faults_logged() == []


def started(rig: Rig, role: str) -> tuple[Process, str]:
    """With a kubeconfig whose token comes out of a file; and where it is probed."""
    config = yaml.safe_load((rig.folder / "kubeconfig").read_text())
    user = config["users"][0]["user"]
    (rig.folder / "kept").write_text(user.pop("token"))
    user["tokenFile"] = "token"
    (rig.folder / "kubeconfig-file").write_text(json.dumps(config))
    settings = {"VPC_RC_KUBECONFIG": str(rig.folder / "kubeconfig-file")}
    port = free_port()
    if role == "webhook":
        pair = self_signed(["localhost"], datetime.now(UTC))
        for name, content in (("CERT", pair.certificate), ("KEY", pair.key)):
            (rig.folder / name).write_bytes(content)
            settings[f"VPC_RC_WEBHOOK_{name}_FILE"] = str(rig.folder / name)
    name = "WEBHOOK" if role == "webhook" else "HEALTH"
    process = rig.run(role, *rig.program, role, **settings, **{f"VPC_RC_{name}_PORT": str(port)})
    return process, f"http{'s' if role == 'webhook' else ''}://127.0.0.1:{port}"


def probe(url: str) -> tuple[int, str]:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["watcher", "worker", "webhook"])
def test_a_role_waits_for_its_token(rig: Rig, role: str) -> None:
    process, url = started(rig, role)
    rig.wait("it is probed", lambda: probe(f"{url}/healthz")[0] == 200)
    rig.wait("it says so", lambda: "token_not_read" in process.log.read_text())

    def waits() -> bool:
        return process.running and probe(f"{url}/healthz")[0] == 200 and probe(f"{url}/readyz")[0] == 503

    rig.holds("it waits", waits, WAITS_SECONDS)
    (rig.folder / "kept").rename(rig.folder / "token")
    seconds = rig.wait("it is ready", lambda: probe(f"{url}/readyz")[0] == 200, GOES_ON_SECONDS)
    print(f"{role}: ready {seconds:.1f} s after its token came")
    assert process.stop() == 0
