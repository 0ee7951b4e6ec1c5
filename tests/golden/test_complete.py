"""Every recorded case has its test, by name."""

import re
from pathlib import Path

import pytest

from tests.golden.facts import cases

WITHOUT_FACTS = {"observability"}
"""Recorded for orientation only; the answers of introspection have tests of their own."""


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_every_case_has_a_test(platform: str) -> None:
    texts = [file.read_text() for file in Path(__file__).parent.glob("test_*.py")]
    tests = {name.replace("_", "-") for text in texts for name in re.findall(r"def test_(\w+)", text)}
    assert not {case for case in cases(platform) if case not in tests} - WITHOUT_FACTS
    assert all(not cases(platform)[case]["facts"] for case in WITHOUT_FACTS & cases(platform).keys())
