"""What is masked in texts and fields, and what is left readable."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import masking
from common.masking import MASK, mask, masked

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("redis://:hunter2@redis:6379/0", id="a URL"),
        pytest.param("redis://user:hun@ter2@hunter2@redis:6379/0", id="up to the last @"),
        pytest.param("redis://:hun/ter2?hunter2#@redis", id="a password that is not encoded"),
        pytest.param("redis://redis:6379/0?password=hunter2&db=1", id="a password in the query"),
        pytest.param("sentinel://:hunter2@a:1;sentinel://:hunter2@b:2", id="several URLs"),
        pytest.param("Authorization: AWS4-HMAC-SHA256 Credential=hunter2/x, Signature=hunter2", id="a signature"),
        pytest.param("{'Authorization': 'Bearer hunter2'}", id="a header in a dict"),
        pytest.param("{'X-Amz-Security-Token': b'hunter2'}", id="a session token in a header"),
        pytest.param("https://h/?X-Amz-Security-Token=hunter2&X-Amz-Signature=hunter2&a=b", id="a presigned URL"),
        pytest.param(
            "<SecretAccessKey>hunter2</SecretAccessKey><SessionToken>hunter2</SessionToken>", id="STS' answer"
        ),
        pytest.param('{"SecretAccessKey": "hunter2", "SessionToken": "hunter2"}', id="JSON"),
        pytest.param(json.dumps({"body": json.dumps({"SecretAccessKey": "hunter2"})}), id="JSON inside JSON"),
        pytest.param("aws_secret_access_key = hunter2", id="a credentials file"),
        pytest.param("password='a hunter2 b'", id="a quoted password with spaces"),
        pytest.param("Basic aHVudGVyMg== hunter".replace("aHVudGVyMg==", "hunter2=="), id="basic authentication"),
    ],
)
def test_secrets_in_a_text_are_masked(text: str) -> None:
    assert "hunter2" not in mask(text)
    assert "ter2" not in mask(text)
    assert MASK in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://redis:6379/0",
        "Error 111 connecting to redis:6379. Connection refused.",
        "UnauthorizedOperation: You are not authorized to perform this operation.",
        "InvalidSecurityGroupID.NotFound: sg-0123",
        "client_token=b1c2",
        "association trunk-assoc-0a1b of eni-0a1b",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password", "SecretAccessKey", "SessionToken", "aws_session_token", "X-Amz-Security-Token", "Authorization",
        "Proxy-Authorization", "api_key", "privateKey", "Cookie", "web_identity_token", "credentials",
    ],
)  # fmt: skip
def test_a_field_of_a_secret_name_is_masked_whole(name: str) -> None:
    assert masked(name, SECRET) == MASK
    assert masked("outer", {name: SECRET}) == {name: MASK}
    assert masked("outer", [{"inner": {name: SECRET.encode()}}]) == [{"inner": {name: MASK}}]


@pytest.mark.parametrize("name", ["client_token", "token", "secrets_found", "node"])
def test_numbers_and_tokens_of_calls_are_shown(name: str) -> None:
    assert masked(name, 7) == 7
    assert masked("client_token", "b1c2") == "b1c2"


def test_objects_are_masked_as_the_text_that_they_are_shown_as() -> None:
    class Holder:
        def __str__(self) -> str:
            return "Holder(password='hunter2')"

    assert masked("value", Holder()) == f"Holder(password={MASK})"


@given(st.text(st.sampled_from("abz019._/-:=> @T'\"")) | st.sampled_from(["authorization-x", "a/AUTHORIZATION//b"]))
@example("2026-11-28T09:00:00.000000Z")
@example("a://b@c")
def test_what_is_taken_for_plain_is_what_no_pattern_matches(text: str) -> None:
    slow = text
    for pattern, replacement in masking._IN_TEXT:
        slow = pattern.sub(replacement, slow)
    assert mask(text) == slow
