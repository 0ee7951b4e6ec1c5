"""Ids, MAC addresses and serial numbers that look like EC2's and depend on nothing but seed and order."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b


class Identifiers:
    """Gives ids: the n-th of a kind is the same in every run with the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given: Counter[str] = Counter()
        self._serial = 0

    def _digits(self, kind: str) -> str:
        self._given[kind] += 1
        return blake2b(f"{self._seed}/{kind}/{self._given[kind]}".encode(), digest_size=8).hexdigest()

    def new(self, prefix: str) -> str:
        """The next id of a kind, such as `eni-0` and 16 hexadecimal digits."""
        return f"{prefix}-0{self._digits(prefix)}"

    def mac(self) -> str:
        """The next MAC address: locally administered, as EC2's."""
        digits = self._digits("mac")
        return "02:" + ":".join(digits[at : at + 2] for at in range(0, 10, 2))

    def access_key(self) -> str:
        """The next key id of temporary credentials."""
        return f"ASIA{self._digits('key').upper()}"

    def serial(self) -> int:
        """The next serial number, over all kinds."""
        self._serial += 1
        return self._serial
