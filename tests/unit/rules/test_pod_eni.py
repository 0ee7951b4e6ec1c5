"""The annotation `vpc.amazonaws.com/pod-eni`: exactly what the VPC CNI plugin reads."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model.ids import Ipv4, VlanId
from common.rules.pod_eni import annotation_of, interfaces_named
from tests.unit.node.builders import branch, names, pod


def test_the_keys_are_those_of_the_contract() -> None:
    one = branch("a", mac="02:0f:00:00:00:01", private_ip=Ipv4("10.0.3.17"), vlan=VlanId(7))
    assert json.loads(annotation_of([one])) == [
        {
            "eniId": "eni-a-0",
            "ifAddress": "02:0f:00:00:00:01",
            "privateIp": "10.0.3.17",
            "ipv6Addr": "",
            "vlanId": 7,
            "subnetCidr": "10.0.0.0/19",
            "subnetV6Cidr": "",
            "associationID": "trunk-assoc-a-0",
        }
    ]


def test_ipv6_is_written_where_there_is_some() -> None:
    one = branch("a", ipv6="2600::17", subnet_v6_cidr="2600::/64")
    entry = json.loads(annotation_of([one]))[0]
    assert (entry["ipv6Addr"], entry["subnetV6Cidr"]) == ("2600::17", "2600::/64")


def test_interfaces_stand_in_the_order_in_which_they_were_asked_for() -> None:
    branches = [branch("a", ordinal=1), branch("a", ordinal=0)]
    assert [entry["eniId"] for entry in json.loads(annotation_of(branches))] == ["eni-a-0", "eni-a-1"]


def test_what_we_write_is_what_we_read() -> None:
    branches = [branch("a", ordinal=0), branch("a", ordinal=1)]
    named, problem = interfaces_named(pod(eni_annotation=annotation_of(branches)))
    assert problem == ""
    assert [(e.eni_id, e.vlan, e.association) for e in named] == [(b.eni_id, b.vlan, b.association) for b in branches]


def test_of_others_the_optional_keys_may_be_missing_and_more_may_be_there() -> None:
    text = '[{"eniId": "eni-1", "ifAddress": "02", "privateIp": "10.0.0.1", "vlanId": 3, "novel": true}]'
    (entry,), problem = interfaces_named(pod(eni_annotation=text))
    assert (entry.eni_id, entry.vlan, entry.association, problem) == ("eni-1", 3, "", "")


def test_without_an_annotation_nothing_is_named_and_nothing_is_wrong() -> None:
    assert interfaces_named(pod()) == ((), "")


@pytest.mark.parametrize("text", ["", "x", "{}", "null", "[", "[1]", '[{"eniId": "eni-1"}]', names(branch("a"))[:-1]])
def test_a_malformed_annotation_names_nothing_and_says_so(text: str) -> None:
    named, problem = interfaces_named(pod(eni_annotation=text))
    assert named == ()
    assert problem


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_whatever_people_write_it_is_read_or_refused(text: str) -> None:
    try:
        named, problem = interfaces_named(pod(eni_annotation=text))
    except UnicodeEncodeError:
        return  # No JSON carries half a surrogate pair; msgspec cannot be given one.
    assert isinstance(named, tuple)
    assert problem or msgspec.json.decode(text) == [] or named
