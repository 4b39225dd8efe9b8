"""Whatever is wrong with a TOML text is told in one way."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.tables import INTEGER_MAX, parse

pytestmark = pytest.mark.rule("CFG-1", "CFG-2")


def test_a_right_text_is_its_table():
    assert parse(f"a = {INTEGER_MAX}\nb = {-INTEGER_MAX - 1}\n[c]\nd = [1, 'x', true]") == {
        "a": INTEGER_MAX,
        "b": -INTEGER_MAX - 1,
        "c": {"d": [1, "x", True]},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a =", "Invalid value"),
        ("a = " + "[" * 5_000, "nested too deeply"),
        ("a = " + "{b = " * 5_000, "nested too deeply"),
        ("a = " + "1" * 5_000, "a number that is too long"),
        (f"a = [[{{b = {INTEGER_MAX + 1}}}]]", "more than 64 bits"),
        (f"a = {-INTEGER_MAX - 2}", "more than 64 bits"),
        ("a = 0x" + "f" * 5_000, "more than 64 bits"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_way(text, reason):
    with pytest.raises(tomllib.TOMLDecodeError, match=reason):
        parse(text)


@given(st.integers(1, 400))
def test_what_is_nested_as_deeply_as_can_be_read_is_looked_through(depth):
    nested = parse("a = " + "[" * depth + "1" + "]" * depth)["a"]
    for _ in range(depth):
        [nested] = nested
    assert nested == 1
