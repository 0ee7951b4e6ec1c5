"""Plain HTTP to the sandbox's own servers, with JSON in and out."""

import json
import urllib.error
import urllib.request
from typing import Any

CALL_SECONDS = 60.0
"""A state of thousands of interfaces takes a second or two."""


class Refused(Exception):
    """A status of 300 and more; the text is the server's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


def call(method: str, url: str, body: object = None, content_type: str = "application/json") -> Any:
    """The answer. Raises Refused, and OSError where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None
