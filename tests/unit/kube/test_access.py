"""Plain kubeconfigs and service accounts are read here; whatever else there is goes to the official client."""

import base64
import json
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.kube.access import in_cluster, of_file
from common.kube.client_access import by_client
from common.kube.credentials import Credentials
from common.model.errors import Unsure
from tests.kit.clock import VirtualClock
from webhook.certificates import self_signed

PAIR = self_signed(["api.test"], datetime(2026, 1, 1, tzinfo=UTC))
CONNECTIONS = 7


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "ca.crt").write_bytes(PAIR.ca)
    (tmp_path / "tls.crt").write_bytes(PAIR.certificate)
    (tmp_path / "tls.key").write_bytes(PAIR.key)
    (tmp_path / "token").write_text("of-file\n")
    return tmp_path


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any], **more: Any) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": cluster}, {"name": "d", "cluster": {"server": "https://other"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u"}},
            {"name": "y", "context": {"cluster": "d", "user": "u"}},
            {"name": "anonymous", "context": {"cluster": "c"}},
        ],
        "current-context": "x",
        **more,
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


SERVER = {"server": "https://10.0.0.1:6443/"}
PLAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "token": (SERVER, {"token": "t"}),
    "token file beside token": (SERVER, {"token": "t", "tokenFile": "token"}),
    "CA as data": ({**SERVER, "certificate-authority-data": encoded(PAIR.ca)}, {"token": "t"}),
    "CA as file": ({**SERVER, "certificate-authority": "ca.crt"}, {"token": "t"}),
    "client certificate as data": (
        SERVER,
        {"client-certificate-data": encoded(PAIR.certificate), "client-key-data": encoded(PAIR.key)},
    ),
    "client certificate as files": (SERVER, {"client-certificate": "tls.crt", "client-key": "tls.key"}),
    "not verified": ({**SERVER, "insecure-skip-tls-verify": True}, {"token": "t"}),
    "server name": ({**SERVER, "tls-server-name": "api.test"}, {"token": "t"}),
    "http": ({"server": "http://127.0.0.1:8080"}, {"token": "t"}),
    "no credentials": (SERVER, {}),
}


def contents(tls: dict[str, Any]) -> dict[str, object]:
    """A pool's parameters by what they name."""
    known = {key: value for key, value in tls.items() if value is not None}
    for name in ("ca_certs", "cert_file", "key_file"):
        if name in known:
            known[name] = Path(known[name]).read_text()
    known["ca"] = known.pop("ca_certs", None) or known.pop("ca_cert_data", None)
    return known


@pytest.mark.parametrize("case", PLAIN)
def test_a_plain_kubeconfig_gives_what_the_official_client_makes_of_it(folder: Path, case: str) -> None:
    path = kubeconfig(folder, *PLAIN[case])
    ours, theirs = of_file(path, "", CONNECTIONS), by_client(path, "", CONNECTIONS)
    assert ours is not None
    assert ours.host == theirs.host
    assert ours.token_file == theirs.token_file
    assert contents(ours.pool.connection_pool_kw) == contents(theirs.pool.connection_pool_kw)
    if ours.token_file is None:
        assert ours.header() == theirs.header()


@pytest.mark.parametrize(
    ("cluster", "user", "more"),
    [
        pytest.param(SERVER, {"exec": {"command": "aws"}}, {}, id="plugin for credentials"),
        pytest.param(SERVER, {"auth-provider": {"name": "oidc"}}, {}, id="auth provider"),
        pytest.param(SERVER, {"username": "u", "password": "p"}, {}, id="password"),
        pytest.param({**SERVER, "proxy-url": "http://proxy"}, {"token": "t"}, {}, id="proxy"),
        pytest.param({**SERVER, "certificate-authority": "none"}, {"token": "t"}, {}, id="CA that is not there"),
        pytest.param({**SERVER, "certificate-authority-data": "%"}, {"token": "t"}, {}, id="CA that is none"),
        pytest.param({}, {"token": "t"}, {}, id="no server"),
        pytest.param(SERVER, {"token": "t"}, {"current-context": "z"}, id="no such context"),
        pytest.param(SERVER, {"token": "t"}, {"users": []}, id="no such user"),
        pytest.param(SERVER, {"token": "t"}, {"clusters": None}, id="no clusters"),
    ],
)
def test_whatever_else_there_is_goes_to_the_official_client(
    folder: Path, cluster: dict[str, Any], user: dict[str, Any], more: dict[str, Any]
) -> None:
    assert of_file(kubeconfig(folder, cluster, user, **more), "", CONNECTIONS) is None


@pytest.mark.parametrize("text", ["", "[]", "7", "a: [", "\x00", "clusters: &a [*a]"])
def test_a_file_that_is_no_kubeconfig_goes_to_the_official_client(folder: Path, text: str) -> None:
    (folder / "kubeconfig").write_text(text)
    assert of_file(folder / "kubeconfig", "", CONNECTIONS) is None


def test_a_proxy_in_the_environment_goes_to_the_official_client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert of_file(kubeconfig(folder, SERVER, {"token": "t"}), "", CONNECTIONS) is None


def test_the_context_that_is_named_is_taken(folder: Path) -> None:
    path = kubeconfig(folder, SERVER, {"token": "t"})
    other, anonymous = of_file(path, "y", CONNECTIONS), of_file(path, "anonymous", CONNECTIONS)
    assert other is not None
    assert anonymous is not None
    assert other.host == "https://other"
    assert anonymous.header() == ""


def test_a_client_key_of_a_kubeconfig_is_gone_from_the_disk_with_the_access(folder: Path) -> None:
    user = {"client-certificate-data": encoded(PAIR.certificate), "client-key-data": encoded(PAIR.key)}
    found = of_file(kubeconfig(folder, SERVER, user), "", CONNECTIONS)
    assert found is not None
    key = Path(found.pool.connection_pool_kw["key_file"])
    assert key.parent.stat().st_mode & 0o077 == 0
    ssl.create_default_context().load_cert_chain(found.pool.connection_pool_kw["cert_file"], key)
    del found
    assert not key.exists()


def test_a_pod_uses_its_service_account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = in_cluster(CONNECTIONS, folder)
    assert found is not None
    assert found.host == "https://[fd00::1]:443"
    assert found.pool.connection_pool_kw["ca_certs"] == str(folder / "ca.crt")
    clock = VirtualClock(0.0)
    credentials = Credentials(found.header, clock, found.token_file)
    assert credentials.headers() == {"Authorization": "Bearer of-file"}
    (folder / "token").write_text("renewed")
    clock.sleep(61)
    assert credentials.headers() == {"Authorization": "Bearer renewed"}


@pytest.mark.parametrize("missing", ["ca.crt", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
def test_where_a_part_is_missing_there_is_no_service_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.setenv(name, "" if name == missing else "1")
    if "." in missing or missing.islower():
        (folder / missing).write_bytes(b"")
    assert in_cluster(CONNECTIONS, folder) is None


def test_the_official_client_is_not_loaded_for_a_plain_kubeconfig(folder: Path) -> None:
    path = kubeconfig(folder, {**SERVER, "certificate-authority-data": encoded(PAIR.ca)}, {"token": "t"})
    code = (
        "import sys\nfrom pathlib import Path\nfrom common.clock import SystemClock\n"
        "from common.kube.transport import connect\n"
        "connect(kubeconfig=Path(sys.argv[1]), context='', clock=SystemClock())\nprint('kubernetes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_token_file_that_is_not_there_yet_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its token a process would be somebody else, who may see less."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (folder / "token").unlink()
    for found in (of_file(kubeconfig(folder, SERVER, {"tokenFile": "token"}), "", CONNECTIONS), in_cluster(1, folder)):
        assert found is not None
        credentials = Credentials(found.header, VirtualClock(0.0), found.token_file)
        with pytest.raises(Unsure, match="FileNotFoundError"):
            credentials.headers()
        (folder / "token").write_text("late")
        assert credentials.headers() == {"Authorization": "Bearer late"}
        (folder / "token").unlink()
        assert credentials.headers() == {"Authorization": "Bearer late"}
