"""Warnings to the creator of a pod, about its security groups."""

import re

from common.rules.security_groups import GroupMatch

USUAL_GROUPS = 5
"""EC2's default limit of security groups an interface."""
MOST_GROUPS = 16
"""What EC2 can raise it to: with more, no interface can be made."""

_MOST_WARNINGS = 8
_LONGEST = 256
"""Kubernetes asks for short warnings and cuts off beyond 4,096 characters in all."""
_GROUP_ID = re.compile(r"sg-[0-9a-z]+", re.ASCII)


def too_many(match: GroupMatch) -> str | None:
    """Why a pod can never be served."""
    if len(match.groups) <= MOST_GROUPS:
        return None
    return (
        f"SecurityGroupPolicies {', '.join(match.matched)} give the pod {len(match.groups)} security groups; "
        f"EC2 allows at most {MOST_GROUPS} an interface"
    )


def warnings_of(match: GroupMatch) -> tuple[str, ...]:
    """About the groups that a pod gets, and about policies in its namespace that match nothing because they are
    invalid."""
    found = []
    if len(match.groups) > USUAL_GROUPS:
        found.append(
            f"the pod gets {len(match.groups)} security groups; EC2 allows {USUAL_GROUPS} an interface unless the "
            "account's limit was raised"
        )
    found += [f"{group!r} is no security group id" for group in match.groups if not _GROUP_ID.fullmatch(group)]
    found += [f"SecurityGroupPolicy {name} matches nothing: {why}" for name, why in match.skipped]
    return tuple(text[:_LONGEST] for text in found[:_MOST_WARNINGS])
