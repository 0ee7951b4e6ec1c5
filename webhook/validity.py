"""When certificates end, read from their DER form (RFC 5280, section 4.1).

A library for it takes the process 8 MiB, and the standard library tells it of certificates of authorities only.
"""

import base64
import re
from collections.abc import Iterator
from datetime import datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_VERSION = 0xA0
"""Tag of a certificate's first field, which old ones lack."""
_VALIDITY = 3
"""Place of the validity after the version: serial number, signature, issuer, validity."""
_UTC_TIME = 0x17
"""Tag of a time with a year of two digits, 1950 to 2049; others have four."""


def ends(pem: bytes) -> list[float]:
    """Epoch seconds at which each certificate of a PEM file ends. Raises ValueError."""
    try:
        return [_end(base64.b64decode(each)) for each in _PEM.findall(pem)]
    except (IndexError, StopIteration) as error:
        raise ValueError("not a certificate") from error


def _end(der: bytes) -> float:
    ((_, certificate),) = _fields(der)
    _, signed = next(_fields(certificate))
    fields = list(_fields(signed))
    if fields[0][0] == _VERSION:
        del fields[0]
    _, (tag, end) = _fields(fields[_VALIDITY][1])
    text = end.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(f"{text}+0000", "%Y%m%d%H%M%SZ%z").timestamp()


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each of the values that follow one another."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:  # long form: so many bytes hold the length
            after = at + (length & 0x7F)
            length, at = int.from_bytes(der[at:after], "big"), after
        if at + length > len(der):
            raise ValueError("a certificate cut short")
        yield tag, der[at : at + length]
        at += length
