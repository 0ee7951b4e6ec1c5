"""Calls admission webhooks over HTTPS, as their configurations' clientConfig says."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from sandbox.kube.admission import WebhookUnreachable
from sandbox.kube.resources import Object


class WebhookCaller:
    """A CallWebhook. `services` maps `namespace/name` of a Service to the base URL where its backend listens."""

    def __init__(self, services: Mapping[str, str] | None = None) -> None:
        self._services = dict(services or {})
        self._contexts: dict[str, ssl.SSLContext] = {}

    def __call__(self, client_config: Object, review: Object, timeout: float) -> Object:
        """Raises WebhookUnreachable for anything but an HTTP 200 with JSON within `timeout` seconds."""
        url, hostname = self._place(client_config)
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise WebhookUnreachable(f"{url} is not https")
        try:
            connection = _Named(
                parts.hostname or "", parts.port or 443, timeout=timeout, name=hostname or parts.hostname or "",
                context=self._context(client_config.get("caBundle", "")),
            )  # fmt: skip
            try:
                path = f"{parts.path or '/'}?timeout={int(timeout)}s"
                connection.request("POST", path, msgspec.json.encode(review), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
            finally:
                connection.close()
            if answer.status != 200:
                raise WebhookUnreachable(f"the server answered {answer.status}: {body[:200]!r}")
            decoded: Object = msgspec.json.decode(body, type=dict)
            return decoded
        except (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError) as error:
            raise WebhookUnreachable(f'Post "{url}": {error}') from error

    def _place(self, client_config: Object) -> tuple[str, str | None]:
        if client_config.get("url"):
            return str(client_config["url"]), None
        service = client_config.get("service") or {}
        name = f"{service.get('namespace')}/{service.get('name')}"
        base = self._services.get(name)
        if base is None:
            raise WebhookUnreachable(f'service "{service.get("name")}" not found')
        return base.rstrip("/") + service.get("path", "/"), f"{service['name']}.{service['namespace']}.svc"

    def _context(self, bundle: str) -> ssl.SSLContext:
        found = self._contexts.get(bundle)
        if found is None:
            found = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
            self._contexts[bundle] = found
        return found


class _Named(http.client.HTTPSConnection):
    """A connection whose certificate must be for `name`, which need not be the host that is dialled."""

    def __init__(self, host: str, port: int, *, timeout: float, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._name, self._tls = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
