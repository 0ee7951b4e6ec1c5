"""Every row and sentence about the ConfigMap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.config import ClusterConfig
from common.rules.cluster_config import parse_cluster_config, unused


def parse(data: dict[str, str] | None, previous: ClusterConfig | None = None) -> tuple[ClusterConfig, tuple[str, ...]]:
    return parse_cluster_config(data, previous, prefix_feature=True, legacy=False)


@pytest.mark.parametrize("data", [None, {}, {"other": "x"}])
def test_without_a_configmap_or_keys_of_ours_the_defaults_hold(data: dict[str, str] | None) -> None:
    assert parse(data, ClusterConfig(cooldown=90, windows_ipam=True)) == (ClusterConfig(), ())
    assert ClusterConfig().cooldown == 60


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "1", "t"])
def test_switched_on(value: str) -> None:
    config, problems = parse({"enable-windows-ipam": value, "enable-windows-prefix-delegation": value})
    assert config.windows_ipam
    assert config.prefix_delegation
    assert problems == ()


@pytest.mark.parametrize("value", ["false", "0", "f", "", "yes", "on", "tRUE", "true ", "2", "enabled"])
def test_anything_else_is_off(value: str) -> None:
    config, _ = parse({"enable-windows-ipam": value, "enable-windows-prefix-delegation": "true"})
    assert not config.windows_ipam
    config, _ = parse({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": value})
    assert config.windows_ipam
    assert not config.prefix_delegation


BOTH_ON = {"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"}


@pytest.mark.parametrize(
    ("data", "prefix_feature", "legacy", "ipam", "prefixes"),
    [
        pytest.param(BOTH_ON, True, False, True, True, id="everything on"),
        pytest.param(BOTH_ON, False, False, True, False, id="our own setting forbids prefixes"),
        pytest.param(BOTH_ON, True, True, False, False, id="the legacy controller is there"),
        pytest.param({"enable-windows-prefix-delegation": "true"}, True, False, False, False, id="prefixes need IPAM"),
    ],
)
def test_windows_switches(data: dict[str, str], prefix_feature: bool, legacy: bool, ipam: bool, prefixes: bool) -> None:
    config, _ = parse_cluster_config(data, None, prefix_feature=prefix_feature, legacy=legacy)
    assert (config.windows_ipam, config.prefix_delegation) == (ipam, prefixes)


@pytest.mark.parametrize(
    ("text", "before", "seconds", "problems"),
    [
        pytest.param("75", None, 75, 0, id="as it is written"),
        pytest.param("+75", None, 75, 0, id="with a sign"),
        pytest.param("30", None, 30, 0, id="the least"),
        pytest.param("29", None, 30, 1, id="under 30 counts as 30"),
        pytest.param("0", 90, 30, 1, id="0 counts as 30"),
        pytest.param("-5", 90, 30, 1, id="negative counts as 30"),
        pytest.param("nonsense", None, 60, 1, id="unparsable at start: 60"),
        pytest.param("nonsense", 90, 90, 1, id="unparsable while running: the value before stays"),
        pytest.param("2.5", 90, 90, 1, id="a fraction is unparsable"),
        pytest.param("60s", 90, 90, 1, id="a unit is unparsable"),
        pytest.param("", 90, 90, 1, id="empty is unparsable"),
        pytest.param("99999999999", 90, 90, 1, id="beyond 32 bits is unparsable"),
    ],
)
def test_cooldown(text: str, before: float | None, seconds: float, problems: int) -> None:
    previous = None if before is None else ClusterConfig(cooldown=before)
    config, reported = parse({"branch-eni-cooldown": text}, previous)
    assert config.cooldown == seconds
    assert len(reported) == problems


@pytest.mark.parametrize(
    ("text", "target", "problems"),
    [("0", 0, 0), ("12", 12, 0), ("+4", 4, 0), ("-1", 0, 1), ("x", 0, 1), ("2.5", 0, 1), ("", 0, 1), ("9" * 11, 0, 1)],
)
def test_branch_warm_target(text: str, target: int, problems: int) -> None:
    config, told = parse({"branch-eni-warm-target": text}, ClusterConfig(branch_warm_target=7))
    assert config.branch_warm_target == target
    assert len(told) == problems


def test_a_cooldown_that_is_removed_is_60_again() -> None:
    assert parse({}, ClusterConfig(cooldown=90))[0].cooldown == 60


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        ("+4", 4),
        ("-4", -4),
        ("0", 0),
        ("007", 7),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
        ("2147483648", None),
        ("99999999999999999999", None),
        ("x", None),
        ("2.5", None),
        ("", None),
        (" 4", None),
        ("4\n", None),
        ("1_000", None),
        ("0x10", None),
        ("\N{ARABIC-INDIC DIGIT FOUR}", None),
        ("--4", None),
    ],
)
@pytest.mark.parametrize("key", ["warm-ip-target", "minimum-ip-target", "warm-prefix-target"])
@pytest.mark.parametrize("prefix", ["", "windows-"])
def test_targets(prefix: str, key: str, text: str, number: int | None) -> None:
    config, problems = parse({prefix + key: text})
    fields = {"warm-ip-target": config.warm_ip, "minimum-ip-target": config.minimum_ip}
    fields["warm-prefix-target"] = config.warm_prefix
    assert fields.pop(key) == number
    assert set(fields.values()) == {None}
    assert len(problems) == (number is None)
    assert all(prefix + key in problem for problem in problems)


@pytest.mark.parametrize(
    ("data", "warm", "minimum"),
    [
        pytest.param({"warm-ip-target": "1", "windows-warm-ip-target": "2"}, 1, None, id="the plain key wins"),
        pytest.param(
            {"warm-ip-target": "1", "windows-warm-ip-target": "2", "windows-minimum-ip-target": "7"},
            1,
            7,
            id="key by key",
        ),
        pytest.param(
            {"warm-ip-target": "x", "windows-warm-ip-target": "20"},
            None,
            None,
            id="an unparsable one hides the longer name all the same",
        ),
        pytest.param(
            {"warm-ip-target": "4", "windows-warm-ip-target": "x"}, 4, None, id="the hidden one need not be readable"
        ),
        pytest.param({"warm-ip-target": "0", "windows-warm-ip-target": "2"}, 0, None, id="zero is set"),
    ],
)
def test_aliases(data: dict[str, str], warm: int | None, minimum: int | None) -> None:
    config, _ = parse(data)
    assert (config.warm_ip, config.minimum_ip) == (warm, minimum)


KEYS = [
    "enable-windows-ipam",
    "enable-windows-prefix-delegation",
    "warm-ip-target",
    "windows-minimum-ip-target",
    "warm-prefix-target",
    "branch-eni-cooldown",
    "branch-eni-warm-target",
]


@given(st.dictionaries(st.sampled_from(KEYS), st.text(max_size=50) | st.integers().map(str), max_size=6))
def test_whatever_people_write_the_settings_are_usable(data: dict[str, str]) -> None:
    config, problems = parse(data, ClusterConfig(cooldown=45))
    assert 30 <= config.cooldown < 2**31
    assert all("\n" not in problem and len(problem) < 300 for problem in problems)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, ""),
        ({"enable-windows-ipam": "false", "enable-network-policy-controller": "true"}, ""),
        ({"enable-windows-ipam": "yes"}, "neither true nor false"),
        ({"enable-windows-prefix-delegation": "true"}, "enable-windows-ipam is off"),
        ({"enable-windows-ipam": "true", "enable-windows-prefix-delegation": "true"}, "PREFIX_DELEGATION is off"),
        ({"warm-ip-target": "1", "windows-warm-ip-target": "2"}, "windows-warm-ip-target is not used"),
        ({"branch-eni-cooldwn": "60"}, "is branch-eni-cooldown meant?"),
    ],
)
def test_keys_that_have_no_effect_are_named(data: dict[str, str], said: str) -> None:
    found = unused(data, prefix_feature=False, legacy=False)
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_windows_is_not_used_while_the_legacy_controller_is_there() -> None:
    (found,) = unused({"enable-windows-ipam": "true"}, prefix_feature=False, legacy=True)
    assert "legacy" in found
