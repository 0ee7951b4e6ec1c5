"""Limits of instance types: the figures that ship with us, and files that add to them."""

from pathlib import Path

import pytest

from common.model.limits import COLUMNS, LimitsError, load_limits

HEADER = ",".join(COLUMNS)


def override(folder: Path, *lines: str) -> Path:
    path = folder / "limits.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("instance_type", "interfaces", "ipv4", "branches", "nitro", "bare_metal"),
    [
        pytest.param("m5.large", 3, 10, 9, True, False, id="a Nitro type"),
        pytest.param("t3.medium", 3, 6, 0, True, False, id="a type that cannot trunk"),
        pytest.param("m4.large", 2, 10, 0, False, False, id="a Xen type"),
        pytest.param("m5.metal", 15, 50, 120, True, True, id="bare metal is Nitro too"),
    ],
)
def test_published_figures(
    instance_type: str, interfaces: int, ipv4: int, branches: int, nitro: bool, bare_metal: bool
) -> None:
    limits = load_limits()[instance_type]
    assert limits.instance_type == instance_type
    assert (limits.max_interfaces, limits.ipv4_per_interface, limits.max_branch_interfaces) == (
        interfaces,
        ipv4,
        branches,
    )
    assert (limits.nitro, limits.bare_metal) == (nitro, bare_metal)


def test_all_published_types_are_there() -> None:
    assert len(load_limits()) == 1164


def test_the_trunk_takes_the_highest_index_of_the_default_card() -> None:
    limits = load_limits()
    assert limits["m5.large"].trunk_device_index == 2
    many_cards = limits["p4d.24xlarge"]
    assert many_cards.default_card_interfaces < many_cards.max_interfaces
    assert many_cards.trunk_device_index == many_cards.default_card_interfaces - 1


def test_a_file_adds_types_and_replaces_figures(tmp_path: Path) -> None:
    limits = load_limits(override(tmp_path, "m99.large,5,20,30,4,2,nitro", "m5.large,3,10,12,3,1,nitro"))
    assert limits["m99.large"].max_branch_interfaces == 30
    assert limits["m99.large"].trunk_device_index == 3
    assert limits["m5.large"].max_branch_interfaces == 12
    assert limits["m5.xlarge"] == load_limits()["m5.xlarge"]
    assert load_limits()["m5.large"].max_branch_interfaces == 9


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("m99.large,5,20", ":3: 3 values", id="too few values"),
        pytest.param("m99.large,x,20,30,4,2,nitro", ":3: interfaces 'x'", id="not a number"),
        pytest.param("m99.large,5,20,-1,4,2,nitro", ":3: branches '-1'", id="less than none"),
        pytest.param("m99.large,0,20,30,4,2,nitro", ":3: interfaces '0'", id="no interface at all"),
        pytest.param("m99.large,5,20,30,4,2,kvm", ":3: kind 'kvm'", id="unknown kind"),
        pytest.param(",5,20,30,4,2,nitro", ":3: no instance type", id="no name"),
        pytest.param("m98.large,5,20,30,4,2,nitro", ":3: m98.large stands there twice", id="twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = override(tmp_path, "m98.large,5,20,30,4,2,nitro", line)
    with pytest.raises(LimitsError) as raised:
        load_limits(path)
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)


def test_a_file_without_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "limits.csv"
    path.write_text("m99.large,5,20,30,4,2,nitro\n")
    with pytest.raises(LimitsError, match=f"first line must be {HEADER}"):
        load_limits(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitsError, match="cannot be read"):
        load_limits(tmp_path / "absent.csv")
