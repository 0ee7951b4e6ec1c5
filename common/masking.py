"""Passwords and credentials in what people get to read: by the name of a field, and by how they look inside a text.

Masks rather too much than too little: everything between `://` and the last `@` of a word is taken for credentials.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

MASK = "***"

_SECRET_NAMES = re.compile(
    r"passw|passphrase|secret|authori[sz]ation|credential|bearer|cookie|private_?key|api_?key"
    r"|(session|security|identity|auth|access|refresh)[-_]?token|signature",
    re.IGNORECASE,
)
"""Of fields. A client token of EC2 makes a call repeatable and opens nothing: it stays readable."""

_NAME = (
    r"(?:secret_?access_?key|session_?token|security[-_]?token|identity_?token|access_?token|auth_?token|refresh_?token"
    r"|passw(?:or)?d|passphrase|private_?key|api_?key|secret|x-amz-signature|x-amz-credential|signature|credential)"
)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\+"[^"\\]*\\+"|[^\s'",;&<>}\])]+)"""
"""Quoted, quoted inside a quoted text, or up to the next separator."""
_IN_TEXT = (
    (re.compile(r"(\w://)\S*@"), rf"\1{MASK}@"),
    # To the end of the header or the string: a scheme, and parameters after it.
    (re.compile(r"(authorization\W{1,6})[^'\"\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=:-]{6,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"({_NAME}(?:['\"\\]*\s*[:=]\s*b?|>)){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
)

_PLAIN = re.compile(r"(?!.*authorization)[\w./-]*|[\dTZ:.+-]*", re.IGNORECASE)
"""Names, ids and numbers: nothing that one of the above could match, recognised at a small part of their cost."""


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def mask(text: str) -> str:
    """The text with the secrets in it replaced by ***."""
    if _PLAIN.fullmatch(text):
        return text
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def masked(name: str, value: object) -> object:
    """The value of a field, fit to be shown: replaced where its name says that it is secret; texts, mappings and lists
    masked inside; other objects as the text that they would be shown as."""
    match value:
        case None | bool() | int() | float():
            return value
        case _ if value and _is_secret(name):
            return MASK
        case str():
            return mask(value)
        case bytes():
            return mask(value.decode(errors="backslashreplace"))
        case Mapping():
            return {key: masked(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [masked("", item) for item in value]
        case _:
            return mask(str(value))
