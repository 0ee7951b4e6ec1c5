"""Reads the ConfigMap `kube-system/amazon-vpc-cni`."""

import difflib
import re
from collections.abc import Mapping

import msgspec

from common.model.config import DEFAULT_COOLDOWN_SECONDS, MINIMUM_COOLDOWN_SECONDS, ClusterConfig

WINDOWS_IPAM = "enable-windows-ipam"
PREFIX_DELEGATION = "enable-windows-prefix-delegation"
WARM_IP = "warm-ip-target"
MINIMUM_IP = "minimum-ip-target"
WARM_PREFIX = "warm-prefix-target"
COOLDOWN = "branch-eni-cooldown"
BRANCH_WARM_TARGET = "branch-eni-warm-target"

_ON = frozenset({"true", "True", "TRUE", "1", "t"})
_OFF = frozenset({"false", "False", "FALSE", "0", "f", "F", ""})
"""What people mean by off; anything else is off, too, and most likely a mistake."""
_TARGETS = (WARM_IP, MINIMUM_IP, WARM_PREFIX)
KEYS = (
    WINDOWS_IPAM,
    PREFIX_DELEGATION,
    COOLDOWN,
    BRANCH_WARM_TARGET,
    *(f"{kind}{key}" for key in _TARGETS for kind in ("", "windows-")),
)
"""All that are ours."""
_MISSPELT = 0.85
"""Likeness, from which a key is taken for one of ours: a letter or two apart."""
_NUMBER = re.compile(r"([+-]?)0*([0-9]{1,10})", re.ASCII)
"""Without leading zeros: Python reads no more than 4,300 digits."""
_LARGEST = 2**31 - 1
_SMALLEST = -(2**31)


def parse_cluster_config(
    data: Mapping[str, str] | None, previous: ClusterConfig | None, *, prefix_feature: bool, legacy: bool
) -> tuple[ClusterConfig, tuple[str, ...]]:
    """The settings that the ConfigMap's data mean, and a sentence for log and event about every value that is not
    used as it is written. `data` None: there is no ConfigMap, all defaults. `previous`: what was in force, None at
    start. `prefix_feature`: our own setting allows prefixes. `legacy`: the legacy controller's Deployment is there,
    Windows is its business."""
    values = data or {}
    problems: list[str] = []
    windows_ipam = values.get(WINDOWS_IPAM) in _ON and not legacy
    config = ClusterConfig(
        cooldown=_cooldown(values, previous, problems),
        windows_ipam=windows_ipam,
        prefix_delegation=windows_ipam and prefix_feature and values.get(PREFIX_DELEGATION) in _ON,
        branch_warm_target=_branch_warm_target(values, problems),
        warm_ip=_target(values, WARM_IP, problems),
        minimum_ip=_target(values, MINIMUM_IP, problems),
        warm_prefix=_target(values, WARM_PREFIX, problems),
    )
    return config, tuple(problems)


def concerns_linux(before: ClusterConfig, now: ClusterConfig) -> bool:
    """Whether a change of the settings is about Linux nodes: those of Windows addresses are not."""
    windows = msgspec.structs.replace(
        before,
        windows_ipam=now.windows_ipam,
        prefix_delegation=now.prefix_delegation,
        warm_ip=now.warm_ip,
        minimum_ip=now.minimum_ip,
        warm_prefix=now.warm_prefix,
    )
    return windows != now


def _cooldown(values: Mapping[str, str], previous: ClusterConfig | None, problems: list[str]) -> float:
    """Seconds."""
    text = values.get(COOLDOWN)
    if text is None:
        return DEFAULT_COOLDOWN_SECONDS
    seconds = _number(text)
    if seconds is None:
        kept = previous.cooldown if previous else DEFAULT_COOLDOWN_SECONDS
        problems.append(f"{COOLDOWN} is {_shown(text)}, which is no number of seconds: it stays at {kept:g}.")
        return kept
    if seconds < MINIMUM_COOLDOWN_SECONDS:
        problems.append(f"{COOLDOWN} is {seconds}, which is too short: {MINIMUM_COOLDOWN_SECONDS:g} is used.")
        return MINIMUM_COOLDOWN_SECONDS
    return float(seconds)


def _branch_warm_target(values: Mapping[str, str], problems: list[str]) -> int:
    text = values.get(BRANCH_WARM_TARGET, "0")
    target = warm_target(text)
    if target is None:
        problems.append(
            f"{BRANCH_WARM_TARGET} is {_shown(text)}, which is no number of interfaces: it counts as not set."
        )
    return target or 0


def warm_target(text: str) -> int | None:
    """How many branch interfaces a key or label asks to keep idle; None where it is no whole number from 0 on."""
    number = _number(text)
    return None if number is None or number < 0 else number


def _target(values: Mapping[str, str], key: str, problems: list[str]) -> int | None:
    """The value under the plain key, else the one under its `windows-` name. The plain key hides the other, also where
    it cannot be read; what cannot be read is not set."""
    names = [name for name in (key, f"windows-{key}") if name in values]
    problems += [
        f"{name} is {_shown(values[name])}, which is no whole number of 32 bits: it counts as not set."
        for name in names
        if _number(values[name]) is None
    ]
    return _number(values[names[0]]) if names else None


def _number(text: str) -> int | None:
    """As Go's ParseInt reads it: no spaces, no underscores, ASCII digits with an optional sign, within 32 bits."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    number = int("".join(found.groups()))
    return number if _SMALLEST <= number <= _LARGEST else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def unused(data: Mapping[str, str], *, prefix_feature: bool, legacy: bool) -> tuple[str, ...]:
    """A sentence for each key that has no effect as it stands, beside the values that cannot be read
    (`parse_cluster_config`). Keys of the VPC CNI are none of ours, unless they look like one of ours misspelt."""
    ipam, prefixes = data.get(WINDOWS_IPAM) in _ON, data.get(PREFIX_DELEGATION) in _ON
    problems = [
        f"{key} is {_shown(data[key])}, which is neither true nor false: it counts as off."
        for key in (WINDOWS_IPAM, PREFIX_DELEGATION)
        if key in data and data[key] not in _ON and data[key] not in _OFF
    ]
    if ipam and legacy:
        problems.append(f"{WINDOWS_IPAM} is not used: the legacy controller's Deployment is there.")
    if prefixes and not ipam:
        problems.append(f"{PREFIX_DELEGATION} is not used: {WINDOWS_IPAM} is off.")
    elif prefixes and not prefix_feature:
        problems.append(f"{PREFIX_DELEGATION} is not used: VPC_RC_ENABLE_WINDOWS_PREFIX_DELEGATION is off.")
    problems += [
        f"windows-{key} is not used: {key} is there, too."
        for key in _TARGETS
        if key in data and f"windows-{key}" in data
    ]
    for key in sorted(data.keys() - set(KEYS)):
        if near := difflib.get_close_matches(key, KEYS, n=1, cutoff=_MISSPELT):
            problems.append(f"{key} is no key: is {near[0]} meant?")
    return tuple(problems)
