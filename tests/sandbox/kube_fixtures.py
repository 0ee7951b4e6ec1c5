"""API servers to test against, the sandbox's and a real one, and a client that is none of our product's."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from sandbox.kube import KubeWorld
from sandbox.kube.running import Listening, in_thread
from tests.kit.control_plane import control_plane
from tests.kit.waiting import until

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: Any
    warnings: list[str]

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))


class Api:
    """Plain HTTP against an API server."""

    def __init__(self, url: str, *, token: str | None = None, authority: str | None = None) -> None:
        self.url = url
        context = ssl.create_default_context(cafile=authority) if authority else None
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=4)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(
        self, method: str, path: str, body: Any = None, media: str = "application/json",
        accept: str = "application/json",        **query: str,
    ) -> Answer:  # fmt: skip
        headers = {**self._headers, "Content-Type": media, "Accept": accept}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        target = (
            self.url + path + (("?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())) if query else "")
        )
        response = self._pool.request(method, target, body=data, headers=headers, timeout=30)
        try:
            decoded = json.loads(response.data)
        except ValueError:
            decoded = {"text": response.data.decode()}
        return Answer(status=response.status, body=decoded, warnings=response.headers.getlist("Warning"))

    @contextmanager
    def watching(self, path: str, seconds: int = 20, **query: str) -> Iterator[Iterator[Any]]:
        """Events of a watch as they come; the iterator ends with the watch."""
        query |= {"watch": "1", "timeoutSeconds": str(seconds)}
        target = self.url + path + "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
        response = self._pool.request("GET", target, headers=self._headers, preload_content=False, timeout=30)
        try:
            yield _lines(response)
        finally:
            response.close()
            response.release_conn()


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    rest = b""
    for chunk in response.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


@contextmanager
def sandbox_server(**options: Any) -> Iterator[Listening]:
    """A sandbox server in a thread; options as of `in_thread`."""
    world = options.pop("world", None) or KubeWorld(clock=time.time)
    with in_thread(world, **options) as listening:
        yield listening


@contextmanager
def real_control_plane(folder: Path) -> Iterator[Api]:
    """A real kube-apiserver with etcd; skips where there are no binaries or no script to start them."""
    with control_plane(folder) as kubeconfig:
        config = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        api = Api(cluster["server"], token=user["token"], authority=cluster["certificate-authority"])
        until(lambda: api("GET", "/api/v1/namespaces/default").status == 200, 30, "no default namespace")
        yield api


def pod(name: str, *, node: str | None = None, **metadata: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "example/main:1"}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
