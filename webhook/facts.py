"""What a review needs to know of the cluster, and who can tell."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from common.rules.security_groups import PolicySet


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster could not be asked; `why` in the API server's own words."""

    why: str


class NoSuchKind(msgspec.Struct, frozen=True, kw_only=True):
    """The CRD of SecurityGroupPolicies is not installed."""


class NoSuchAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The API server knows no such service account."""


Policies = PolicySet | NoSuchKind | Unreadable
"""Those of one namespace."""
Account = Mapping[str, str] | NoSuchAccount | Unreadable
"""A service account's labels."""


class View(Protocol):
    """The cluster as the reviews see it."""

    async def known(self) -> None:
        """Returns when everything was read once, or after a few seconds."""
        ...

    def policies(self, namespace: str) -> Policies: ...

    async def account(self, namespace: str, name: str) -> Account:
        """One that was not seen yet is looked up, not guessed."""
        ...

    def windows_ipam(self) -> bool | Unreadable:
        """Windows nodes are managed by us."""
        ...
