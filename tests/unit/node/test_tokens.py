"""Client tokens: the same for the same intent, different for any other."""

from itertools import product

from common.model.ids import InstanceId, PodUid
from common.node.tokens import association_token, branch_key, branch_token, disassociation_token, trunk_token


def test_every_part_of_an_intent_makes_another_token() -> None:
    tokens = [
        branch_token(cluster, branch_key(PodUid(uid), ordinal, generation))
        for cluster, uid, ordinal, generation in product(("c", "d"), ("u", "v"), (0, 1), (0, 1))
    ]
    tokens += [trunk_token(c, InstanceId(i), g) for c, i, g in product(("c", "d"), ("i-1", "i-2"), (0, 1))]
    tokens += [association_token(token) for token in tokens] + [disassociation_token(token) for token in tokens]
    assert len(set(tokens)) == len(tokens)


def test_the_same_intent_has_the_same_token_whoever_asks() -> None:
    key = branch_key(PodUid("u"), 1, 2)
    assert key == "u.1.2"
    assert branch_token("bench", key) == branch_token("bench", key)
    assert trunk_token("bench", InstanceId("i-1"), 0) == trunk_token("bench", InstanceId("i-1"), 0)


def test_tokens_are_what_ec2_takes() -> None:
    """At most 64 ASCII characters."""
    for token in (branch_token("ü" * 100, branch_key(PodUid("u" * 300), 0, 0)), trunk_token("c", InstanceId("i"), 0)):
        assert token.isascii()
        assert token.isalnum()
        assert len(token) <= 64


def test_parts_cannot_be_confused() -> None:
    assert trunk_token("c", InstanceId("i-1"), 11) != trunk_token("c", InstanceId("i-11"), 1)
