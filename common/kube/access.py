"""How to reach the API server: from the pod's service account or a plain kubeconfig.

The official client takes a process 12 MiB and 0.2 s of CPU for it. It is asked where a kubeconfig has more than we read
here, such as a plugin for credentials.
"""

import base64
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import urllib3

from common.settings import api_server_address

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CLUSTER_FIELDS = frozenset(
    {"server", "certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name"}
)
USER_FIELDS = frozenset(
    {"token", "tokenFile", "client-certificate", "client-certificate-data", "client-key", "client-key-data"}
)
"""What is read here of a kubeconfig's cluster and user."""
_DATA = frozenset({"client-certificate-data", "client-key-data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An API server, a pool of connections to it, and who we are there."""

    host: str
    """With scheme, without a slash at the end."""
    pool: urllib3.PoolManager
    header: Callable[[], str]
    """The Authorization header's value now; "" for none."""
    token_file: Path | None = None
    """Goes before `header`."""
    folder: Any = field(default=None, repr=False)
    """Kept as long as this: of key and certificate that the TLS library reads from files only."""


def in_cluster(connections: int, account: Path = SERVICE_ACCOUNT) -> Access | None:
    """By the pod's service account; None where there is none. Its token may come later than its CA."""
    address, token, authority = api_server_address(), account / "token", account / "ca.crt"
    if address is None or getproxies() or not _has_content(authority):
        return None
    host, port = address
    named = f"[{host}]" if ":" in host or "%" in host else host
    return Access(
        host=f"https://{named}:{port}",
        pool=_pool(connections, ca_certs=str(authority)),
        header=lambda: "",
        token_file=token,
    )


def of_file(kubeconfig: Path, context: str, connections: int) -> Access | None:
    """By a kubeconfig; `context` "": its current one. None where it has anything else than what is read here, whatever
    is wrong with it included."""
    import yaml  # pods need none

    try:
        config = yaml.safe_load(kubeconfig.read_text())
        chosen = _named(config["contexts"], context or config["current-context"])["context"]
        cluster = _named(config["clusters"], chosen["cluster"])["cluster"]
        user = (_named(config["users"], chosen["user"])["user"] if chosen.get("user") else None) or {}
        return _plain(kubeconfig.parent, cluster, user, connections)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None


def _named(entries: Any, name: str) -> Mapping[str, Any]:
    """Raises ValueError unless one has the name."""
    (found,) = (entry for entry in entries if entry["name"] == name)
    return found  # type: ignore[no-any-return]  # of a file


def _plain(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any], connections: int) -> Access | None:
    """Raises ValueError and others where something is missing or of another form."""
    host = str(cluster["server"]).rstrip("/")
    known = cluster.keys() <= CLUSTER_FIELDS and user.keys() <= USER_FIELDS and host.startswith(("http:", "https:"))
    if not known or getproxies():
        return None
    tls: dict[str, Any] = {}
    kept = None
    if host.startswith("https:"):
        if "certificate-authority-data" in cluster:
            tls["ca_cert_data"] = _authority(cluster["certificate-authority-data"])
        elif "certificate-authority" in cluster:
            tls["ca_certs"] = _existing(folder, cluster["certificate-authority"])
        if cluster.get("insecure-skip-tls-verify", False):
            tls["cert_reqs"] = ssl.CERT_NONE
        if "tls-server-name" in cluster:
            tls["server_hostname"] = str(cluster["tls-server-name"])
        kept = tempfile.TemporaryDirectory(prefix="vpc-rc-") if _DATA & user.keys() else None
        for parameter, name in (("cert_file", "client-certificate"), ("key_file", "client-key")):
            if kept is not None and f"{name}-data" in user:
                file = Path(kept.name) / name
                file.write_bytes(base64.b64decode(user[f"{name}-data"]))
                tls[parameter] = str(file)
            elif name in user:
                tls[parameter] = _existing(folder, user[name])
    token = f"Bearer {user['token']}" if user.get("token") else ""
    return Access(
        host=host,
        pool=_pool(connections, **tls),
        header=lambda: token,
        # It may come later: an agent writes it, or a volume.
        token_file=folder / str(user["tokenFile"]) if user.get("tokenFile") else None,
        folder=kept,
    )


def _pool(connections: int, **tls: Any) -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=connections, **{"cert_reqs": ssl.CERT_REQUIRED, **tls})


def _authority(encoded: str) -> str:
    """Raises ValueError where it is none: the TLS library would say so at every connection."""
    pem = base64.b64decode(encoded, validate=True).decode()
    if "BEGIN CERTIFICATE" not in pem:
        raise ValueError("no certificate")
    return pem


def _existing(folder: Path, name: str) -> str:
    """The path of a file that a kubeconfig in `folder` names. Raises ValueError where there is nothing in it."""
    file = folder / name
    if not _has_content(file):
        raise ValueError(name)
    return str(file)


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
