"""The server's certificate, and its renewal while connections are served."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from common.logging import get_logger
from common.model.errors import ControllerError

LOOK_SECONDS = 1.0
"""Interval at which the files are compared with what was loaded; the kubelet renews a mounted Secret in about a
minute."""

_log = get_logger(__name__)


class BadCertificate(ControllerError):
    """The files are missing, half written, or do not belong together."""


class Certificate:
    """A TLS context whose certificate follows two PEM files. A pair that cannot be used is refused and the one before
    stays; connections that are open are not touched."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Raises BadCertificate."""
        self._cert_file, self._key_file = cert_file, key_file
        self._refused: tuple[bytes, bytes] | None = None
        self._loaded = self._read()
        self._current = _context(*self._loaded)
        self.context = _context(*self._loaded)
        # Called in every handshake, also where the client names no server.
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = self._current

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
            self._current = _context(*pair)
        except BadCertificate:
            self._refused = pair
            raise
        self._loaded, self._refused = pair, None
        return True

    async def follow(self) -> None:
        """Refresh for ever."""
        missing = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self.refresh):
                    _log.info("certificate renewed", file=str(self._cert_file))
                missing = False
            except BadCertificate as error:
                if not missing:
                    _log.warning("certificate not renewed, the one before stays", error=str(error))
                missing = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, ssl.SSLError)


def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
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
