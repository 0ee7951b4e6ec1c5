"""The server's certificate: its renewal while connections are served, and its end."""

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from common.clock import Clock, SystemClock
from common.logging import get_logger
from common.metrics import WEBHOOK_CERTIFICATE_DAYS, WEBHOOK_EXPIRED_HANDSHAKES
from common.model.errors import ControllerError
from webhook.validity import ends

DAY_SECONDS = 86_400.0
WARN_DAYS = 7.0
"""Before a certificate's end: issuers renew them long before."""
SAY_AGAIN_SECONDS = 3_600.0
LOOK_SECONDS = 1.0
"""Interval at which the files are compared with what was loaded; the kubelet renews a mounted Secret in about a
minute."""

_log = get_logger(__name__)


class BadCertificate(ControllerError):
    """The files are missing, half written, or do not belong together."""


class Certificate:
    """A TLS context whose certificate follows two PEM files. A pair that cannot be used is refused and the one before
    stays; connections that are open are not touched."""

    def __init__(
        self,
        cert_file: Path,
        key_file: Path,
        *,
        client_ca_file: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`client_ca_file`: clients are asked for a certificate of it. `clock`: the
        machine's where left out. Raises BadCertificate."""
        self._cert_file, self._key_file = cert_file, key_file
        self._now = (clock or SystemClock()).now
        self._client_ca = _client_ca(client_ca_file)
        self._refused: tuple[bytes, bytes] | None = None
        self._said_at = float("-inf")
        self._loaded = self._read()
        self._current = _context(*self._loaded, self._client_ca)
        self._expires_at = _expires_at(self._loaded[0])
        self.context = _context(*self._loaded, self._client_ca)
        # Called in every handshake, also where the client names no server.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = self._current
        if self.problem() is not None:
            WEBHOOK_EXPIRED_HANDSHAKES.inc()

    def _read(self) -> tuple[bytes, bytes]:
        try:
            return self._cert_file.read_bytes(), self._key_file.read_bytes()
        except OSError as error:
            raise BadCertificate(str(error)) from error

    def refresh(self) -> bool:
        """Look at the files; True: new ones are in use from now on. Raises BadCertificate once for each pair that
        cannot be used."""
        pair = self._read()
        if pair in (self._loaded, self._refused):
            return False
        try:
            self._current = _context(*pair, self._client_ca)
        except BadCertificate:
            self._refused = pair
            raise
        self._loaded, self._refused = pair, None
        self._expires_at, self._said_at = _expires_at(pair[0]), float("-inf")
        return True

    @property
    def days_left(self) -> float:
        """Negative when it has expired; infinite where its end cannot be read."""
        return (self._expires_at - self._now()) / DAY_SECONDS

    def problem(self) -> str | None:
        """Why API servers refuse it."""
        if self.days_left > 0:
            return None
        return f"the certificate in {self._cert_file} expired at {_utc(self._expires_at)}"

    def watch_end(self) -> None:
        """Show the days left, and say so when they are few: once an hour."""
        WEBHOOK_CERTIFICATE_DAYS.set(self.days_left)
        if self.days_left > WARN_DAYS or self._now() - self._said_at < SAY_AGAIN_SECONDS:
            return
        self._said_at = self._now()
        say = _log.warning if self.problem() is None else _log.error
        say(
            "certificate expired" if self.problem() else "certificate expires soon",
            file=str(self._cert_file), expires=_utc(self._expires_at), days_left=round(self.days_left, 1),
        )  # fmt: skip

    async def follow(self) -> None:
        """Refresh for ever."""
        missing = False
        while True:
            self.watch_end()
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self.refresh):
                    _log.info("certificate renewed", file=str(self._cert_file))
                missing = False
            except BadCertificate as error:
                if not missing:
                    _log.warning("certificate not renewed, the one before stays", error=str(error))
                missing = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, ssl.SSLError)


def _client_ca(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise BadCertificate(str(error)) from error


def _expires_at(pem: bytes) -> float:
    """Epoch seconds at which the first of a chain's certificates ends."""
    try:
        return min(ends(pem), default=float("inf"))
    except ValueError:
        return float("inf")


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).isoformat()


def _context(certificate: bytes, key: bytes, client_ca: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if client_ca:
        # Asked for, not demanded: probes and scrapes have none. The server demands it of who sends reviews.
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(cadata=client_ca)
        except (ssl.SSLError, ValueError) as error:
            raise BadCertificate(f"the clients' CA cannot be used: {error}") from error
    # The ssl module loads from files only; copies cannot change between the certificate and its key.
    with TemporaryDirectory() as folder:
        cert_file, key_file = Path(folder, "tls.crt"), Path(folder, "tls.key")
        key_file.touch(mode=0o600)
        cert_file.write_bytes(certificate)
        key_file.write_bytes(key)
        try:
            context.load_cert_chain(cert_file, key_file)
        except (ssl.SSLError, ValueError) as error:
            raise BadCertificate(f"certificate and key cannot be used: {error}") from error
        finally:
            with suppress(OSError):
                key_file.unlink()
    return context
