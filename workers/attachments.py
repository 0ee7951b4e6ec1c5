"""Looks at trunks that are being attached, shared by all nodes of a process: when many nodes join, one call tells of
all of them."""

import threading
from collections.abc import Iterable

from common.clock import Clock
from common.ec2.api import Ec2
from common.model.ec2 import Interface
from common.model.errors import NotFound
from common.model.ids import EniId

SECONDS_EACH = 0.4
"""Between two looks, for each trunk that waits: one alone is looked at as often as its node asks."""
LONGEST_SECONDS = 2.0
"""Between two looks, however many wait: EC2 itself takes 0.5 to 2 s to attach."""


class Attachments:
    """Looks at attachments for all nodes together: a question between two looks gets the answer of the next one.
    Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._asked: set[EniId] = set()
        """Since the last look."""
        self._shown: dict[EniId, Interface | None] = {}
        """What the last look showed and nobody has fetched; None: EC2 did not show it."""
        self._looking = False
        self._looked_at = float("-inf")
        self._looked_for = 0

    def look(self, ec2: Ec2, eni: EniId) -> Interface | None:
        """The interface as a look since the caller's last question showed it; None: there was none, ask again. Raises
        NotFound where EC2 did not show the interface, and as `describe_interfaces` does."""
        with self._guard:
            if eni in self._shown:
                return _found(eni, self._shown.pop(eni))
            self._asked.add(eni)
            now = self._clock.monotonic()
            between = min(LONGEST_SECONDS, SECONDS_EACH * max(len(self._asked), self._looked_for))
            if self._looking or now < self._looked_at + between:
                return None
            asked, self._asked = self._asked, set()
            self._looking, self._looked_at, self._looked_for = True, now, len(asked)
        try:
            found = ec2.describe_interfaces(ids=sorted(asked))
        except BaseException:
            self._end(asked - {eni}, {})
            raise
        shown: dict[EniId, Interface | None] = dict.fromkeys(asked) | {one.eni_id: one for one in found}
        own = shown.pop(eni)
        self._end((), shown)
        return _found(eni, own)

    def _end(self, asked: Iterable[EniId], shown: dict[EniId, Interface | None]) -> None:
        with self._guard:
            self._looking, self._shown = False, shown
            self._asked.update(asked)


def _found(eni: EniId, interface: Interface | None) -> Interface:
    if interface is None:
        raise NotFound("InvalidNetworkInterfaceID.NotFound", f"The interface {eni} is not shown")
    return interface
