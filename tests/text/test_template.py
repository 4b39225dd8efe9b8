"""One text: cut at its placeholders, and refused with every reason."""

import pytest

from telcod.text import template
from telcod.text.template import (
    PLACEHOLDER_WIDTHS,
    Kind,
    Template,
    compile_leaf,
    kind_of,
    leaves,
)

pytestmark = pytest.mark.rule("KW-6")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("price", Kind.MONEY),
        ("price_vnd", Kind.MONEY),
        ("until", Kind.TIME),
        ("ends_at", Kind.TIME),
        ("until_ms", Kind.TIME),
        ("payer", Kind.NUMBER),
        ("child_number", Kind.NUMBER),
        ("n", Kind.COUNT),
        ("wait_s", Kind.COUNT),
        ("tries_max", Kind.COUNT),
        ("command", Kind.WORD),
        ("short_code", Kind.WORD),
        ("typed", Kind.TEXT),
        ("wrong_text", Kind.TEXT),
        ("numbers", Kind.LIST),
        ("white_list", Kind.LIST),
        ("whatever", None),
    ],
)
def test_a_placeholders_name_tells_its_kind(name, kind):
    assert kind_of(name) == kind


def test_a_configured_kind_comes_before_the_ending():
    assert kind_of("odd_at", {"odd_at": Kind.MONEY}) is Kind.MONEY


@pytest.mark.parametrize(
    ("leaf", "reasons"),
    [
        ("", ["empty, or no text"]),
        (" \n", ["empty, or no text"]),
        (5, ["empty, or no text"]),
        ({"parts": 2}, ["empty, or no text"]),
        ({"text": "a", "part": 2}, ["unknown field 'part'"]),
        ({"text": "a", "parts": 0}, ["parts must be 1 to 5, not 0"]),
        ({"text": "a", "parts": 6}, ["parts must be 1 to 5, not 6"]),
        ({"text": "a", "parts": True}, ["parts must be 1 to 5, not True"]),
        ({"text": "a", "parts": "2"}, ["parts must be 1 to 5, not '2'"]),
        ({"text": "a", "widths": {"n": 0}}, ["widths must be positive numbers by placeholder"]),
        ({"text": "a", "widths": 3}, ["widths must be positive numbers by placeholder"]),
        ({"text": "a", "widths": {"n": 3}}, ["width of 'n', which is no placeholder"]),
        ("a {", ["unbalanced '{' at character 3"]),
        ("a } b", ["unbalanced '}' at character 3"]),
        ("{price", ["unbalanced '{' at character 1"]),
        ("{{price}", ["unbalanced '}' at character 8"]),
        ("{}", ["placeholder '{}' must be a name in small letters"]),
        ("{0}", ["placeholder '{0}' must be a name in small letters"]),
        ("{price:>5}", ["placeholder '{price:>5}' must be a name in small letters"]),
        ("{price!r}", ["placeholder '{price!r}' must be a name in small letters"]),
        ("{Price}", ["placeholder '{Price}' must be a name in small letters"]),
        ("{giá}", ["placeholder '{giá}' must be a name in small letters"]),
        ("{whatever}", ["placeholder 'whatever' is of no known kind"]),
        ("Đăng ký", ["not in the GSM 7 bit alphabet: 'Đăý'"]),
        ("{numbers} {items}", ["more than one list"]),
        ("a" * 161, ["may take 161 septets, 1 part(s) hold 160"]),
        ("a" * 147 + "{price}", ["may take 161 septets, 1 part(s) hold 160"]),
        ("a" * 159 + "[", ["may take 161 septets, 1 part(s) hold 160"]),
        ({"text": "a" * 307, "parts": 2}, ["may take 307 septets, 2 part(s) hold 306"]),
        ({"text": "[" + "a" * 304, "parts": 2}, ["may take 306 septets, 2 part(s) hold 305"]),
        (
            {"text": "a{typed}", "widths": {"typed": 160}},
            ["may take 161 septets, 1 part(s) hold 160"],
        ),
    ],
)
def test_a_text_that_must_not_be_used_says_why(leaf, reasons):
    assert (
        compile_leaf(
            leaf,
            {
                **dict.fromkeys(["price"], Kind.MONEY),
                "n": Kind.COUNT,
                "typed": Kind.TEXT,
                "numbers": Kind.LIST,
                "items": Kind.LIST,
            },
        )
        == reasons
    )


def test_all_that_is_wrong_with_a_text_is_said_at_once():
    reasons = compile_leaf({"text": "ý {a b} { {whatever}", "colour": 1}, {})
    assert isinstance(reasons, list)
    assert len(reasons) == 5


@pytest.mark.parametrize(
    ("leaf", "segments"),
    [
        ("abc", ("abc",)),
        ("{n}", ("", "", "")),
        ("a{n}b{n}", ("a", "", "b", "", "")),
        ("{{n}}", ("{n}",)),
        ("{{{n}}}", ("{", "", "}")),
        ({"text": "a" * 160}, ("a" * 160,)),
        ({"text": "a" * 459, "parts": 3}, ("a" * 459,)),
    ],
)
def test_a_text_is_cut_at_its_placeholders(leaf, segments):
    template = compile_leaf(leaf, {"n": Kind.COUNT})
    assert isinstance(template, Template)
    assert template.segments == segments
    assert all(segments[slot.place] == "" for slot in template.slots)


def test_values_that_are_written_already_are_shown_as_they_are():
    for kind, value, shown in (
        (Kind.MONEY, 1_000, "1.000d"),
        (Kind.MONEY, "1.000d", "1.000d"),
        (Kind.TIME, 0, "08:00 01/01/1970"),
        (Kind.TIME, "10:00 hom nay", "10:00 hom nay"),
    ):
        assert template._SHOW[kind](value, 99) == shown


def test_every_kind_has_a_width_that_one_message_holds():
    assert set(PLACEHOLDER_WIDTHS) == set(Kind)
    assert all(0 < width <= 160 for width in PLACEHOLDER_WIDTHS.values())


def test_dots_and_tables_name_the_same_texts():
    dotted = {"pkg.started": "a", "help": {"text": "b", "parts": 2}}
    nested = {"pkg": {"started": "a"}, "help": {"text": "b", "parts": 2}}
    assert list(leaves(dotted)) == list(leaves(nested))
    assert list(leaves({"text": {"unknown": "x"}})) == [("text.unknown", "x")]
