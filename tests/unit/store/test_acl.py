"""Rights in Redis follow the keys that there are."""

from inspect import getmembers, isfunction

import pytest

from common.store import acl, keys
from common.store.acl import Role


def test_every_key_says_who_may_do_what_with_it() -> None:
    functions = {name for name, each in getmembers(keys, isfunction) if each.__module__ == keys.__name__}
    assert functions - {"prefix", "members", "member"} == set(acl.OURS)


@pytest.mark.parametrize("name", acl.OURS)
def test_who_writes_is_said_at_the_key_too(name: str) -> None:
    """The docstring is for people; where it names one writer, no other role writes."""
    said = (getattr(keys, name).__doc__ or "").partition("Writer: watcher")
    if said[1]:
        assert acl.OURS[name].write == (Role.WATCHER,)


def test_only_workers_and_watchers_write_what_is_ours() -> None:
    assert {role for access in acl.OURS.values() for role in access.write} == {Role.WATCHER, Role.WORKER}


@pytest.mark.parametrize("name", ["ledger", "lock", "fence", "rate", "snapshot", "seen_available"])
def test_only_workers_write_what_interfaces_are_released_by(name: str) -> None:
    assert acl.OURS[name].write == (Role.WORKER,)
