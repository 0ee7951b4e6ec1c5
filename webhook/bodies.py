"""Bodies of reviews, and how many bytes of them are held at a time."""

import asyncio

from aiohttp import web

LARGEST_BODY = 7 * 1024 * 1024
"""Bytes of a review. An object of the API server has at most 3 MiB, and an update carries two."""
SMALL_BODY = 64 * 1024
"""Bytes. Almost every review is smaller; the number of connections bounds these."""
IN_FLIGHT = 2 * LARGEST_BODY
"""Bytes of larger bodies that are held at a time."""
BODY_SECONDS = 10.0
"""The API server itself gives up on a webhook after at most 30 s, by default 10 s."""


class Refused(Exception):
    """The body is not read, or not to its end."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Budget:
    """What large bodies in flight may take."""

    def __init__(self) -> None:
        self._free = IN_FLIGHT

    def take(self, size: int) -> None:
        """Raises Refused."""
        if size > self._free:
            raise Refused(503, "too many large reviews at a time")
        self._free -= size

    def give_back(self, size: int) -> None:
        self._free += size


class Body:
    """One body; what it takes of the budget is given back at the end of the `with` block."""

    def __init__(self, request: web.BaseRequest, budget: Budget) -> None:
        self._request, self._budget = request, budget
        self._taken = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._taken)

    async def read(self) -> bytearray:
        """Raises Refused."""
        encoding = self._request.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise Refused(415, f"content encoding {encoding!r} is not taken")
        self._hold(self._request.content_length or 0)
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._chunks()
        except TimeoutError:
            raise Refused(408, f"the body did not come within {BODY_SECONDS:g} s") from None

    async def _chunks(self) -> bytearray:
        found = bytearray()
        async for chunk in self._request.content.iter_any():
            self._hold(len(found) + len(chunk))
            found += chunk
        return found

    def _hold(self, size: int) -> None:
        if size > LARGEST_BODY:
            raise Refused(413, f"the body has more than {LARGEST_BODY} bytes")
        if size > max(SMALL_BODY, self._taken):
            self._budget.take(size - self._taken)
            self._taken = size
