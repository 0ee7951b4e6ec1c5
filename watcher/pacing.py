"""Changes of what many nodes depend on: the ConfigMap, an ENIConfig, the policies of a namespace.

A first change is due at once. Those of the same subject that follow within APART_SECONDS are one change, due at the end
of that time: however often somebody writes such an object, its nodes are written and looked at once per interval."""

from collections import OrderedDict

from watcher.kinds import Kind

APART_SECONDS = 1.0
"""Between two changes of the same subject. A pod that comes meanwhile may be served by the value before."""

Subject = tuple[Kind, str]
"""The kind; the object's name, or of policies the namespace."""


class Paced:
    """Not thread-safe. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._due_at: dict[Subject, float] = {}
        self._free_at: OrderedDict[Subject, float] = OrderedDict()
        """When the next change of a subject may be due; the earliest first."""

    def __bool__(self) -> bool:
        return bool(self._due_at)

    def add(self, subject: Subject, now: float) -> None:
        """It changed."""
        if subject not in self._due_at:
            self._due_at[subject] = max(now, self._free_at.get(subject, now))

    def is_due(self, now: float) -> bool:
        """Whether `take` would answer any."""
        return any(at <= now for at in self._due_at.values())

    def take(self, now: float) -> list[Subject]:
        """Subjects whose changes are due, in the order in which they came. They are pending no more."""
        while self._free_at and next(iter(self._free_at.values())) <= now:
            self._free_at.popitem(last=False)
        due = [subject for subject, at in self._due_at.items() if at <= now]
        for subject in due:
            del self._due_at[subject]
            self._free_at[subject] = now + APART_SECONDS
        return due
