"""Lines of a CSV file: what is understood, and what a person is told about the rest (CLI-4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.bulk import (
    HEADER,
    LINE_BYTES_MAX,
    BadLine,
    NotSubscribers,
    SeenNumbers,
    SubscriberLine,
    check_header,
    read_lines,
)
from telcod.rows import Kind, State
from telcod.types import Language

pytestmark = pytest.mark.rule("CLI-4")

GOOD = {
    "msisdn": "0903000001",
    "kind": "prepaid",
    "state": "active",
    "balance_vnd": "5000",
    "debt_vnd": "",
    "name": "Nguyễn Văn An",
    "address": '"1 Lê Lợi, Quận 1"',
    "centre": "3",
    "email": "an@example.vn",
    "language": "en",
}


def csv_line(**changes):
    return ",".join({**GOOD, **changes}.values()).encode() + b"\r\n"


def only(*lines):
    (found,) = read_lines(lines)
    return found


def test_a_line_is_understood_field_by_field():
    assert only(csv_line()) == SubscriberLine(
        84_903_000_001,
        Kind.PREPAID,
        State.ACTIVE,
        5_000,
        0,
        "Nguyễn Văn An",
        "1 Lê Lợi, Quận 1",
        3,
        "an@example.vn",
        Language.EN,
    )


def test_empty_amounts_are_0_and_an_empty_language_is_vietnamese():
    line = only(csv_line(balance_vnd="", language="", email="", name="", address=""))
    assert (line.balance_vnd, line.language, line.name) == (0, Language.VI, "")


@pytest.mark.parametrize("form", ["84903000001", "+84903000001", "0084903000001", "903.000.001"])
@pytest.mark.rule("NUM-1")
def test_a_number_may_be_in_any_form(form):
    assert only(csv_line(msisdn=form)).msisdn == 84_903_000_001


@pytest.mark.rule("NUM-2")
def test_an_old_number_is_converted():
    assert only(csv_line(msisdn="01201234567")).msisdn == 84_701_234_567


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"msisdn": "abc"}, "line 2: msisdn: 'abc' is not a number"),
        ({"msisdn": ""}, "line 2: msisdn: no number is given"),
        ({"msisdn": "1566"}, "line 2: msisdn: '1566' is a short code, not a subscriber's number"),
        ({"msisdn": "09030"}, "line 2: msisdn: '09030' is a short code, not a subscriber's number"),
        ({"kind": "gold"}, "line 2: kind: must be one of prepaid, postpaid, is 'gold'"),
        (
            {"state": ""},
            f"line 2: state: must be one of {', '.join(State)}, is ''",
        ),
        (
            {"balance_vnd": "5.000"},
            "line 2: balance_vnd: must be whole đồng in digits only, as 12000, is '5.000'",
        ),
        (
            {"debt_vnd": "-1"},
            "line 2: debt_vnd: must be whole đồng in digits only, as 12000, is '-1'",
        ),
        ({"debt_vnd": "9" * 13}, "line 2: debt_vnd: must be at most 1000000000000, is " + "9" * 13),
        ({"centre": "7"}, "line 2: centre: must be 1 to 6, is '7'"),
        ({"centre": ""}, "line 2: centre: must be 1 to 6, is ''"),
        ({"email": "an"}, "line 2: email: 'an' is no e-mail address"),
        ({"language": "fr"}, "line 2: language: must be one of vi, en, is 'fr'"),
        ({"name": "x" * 201}, "line 2: name: has 201 characters, at most 200 are kept"),
        ({"name": "a\x1b[31m"}, "line 2: name: has control characters"),
        (
            {"name": "An, Le"},
            "line 2: has 11 fields, not 10; put a field that has a comma into quotation marks",
        ),
        (
            {"name": '"An'},
            "line 2: has a quotation mark that is not closed, or that stands inside a field",
        ),
    ],
)
def test_a_bad_line_is_told_with_its_number_its_field_and_why(changes, told):
    assert str(only(csv_line(**changes))) == told


def test_a_bad_line_spoils_no_other():
    lines = [csv_line(name='"An'), csv_line(msisdn="0903000002"), b"\xff\xfe", b"\r\n", csv_line()]
    found = list(read_lines(lines))
    assert [getattr(line, "msisdn", None) for line in found] == [
        None,
        84_903_000_002,
        None,
        84_903_000_001,
    ]
    assert [line.line for line in found if isinstance(line, BadLine)] == [2, 4]


def test_the_second_line_of_one_number_is_refused_in_whatever_form():
    found = list(read_lines([csv_line(), csv_line(msisdn="+84 903 000 001", state="suspended")]))
    assert str(found[1]) == "line 3: msisdn: 0903000001 is on an earlier line already"


def test_a_line_that_is_too_long_is_refused():
    assert only(b"x" * (LINE_BYTES_MAX + 1)).reason == f"is longer than {LINE_BYTES_MAX} bytes"


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_a_line_or_a_reason(lines):
    for line in read_lines(lines):
        assert isinstance(line, SubscriberLine | BadLine)


@given(
    st.lists(
        st.integers(84_100_000_000, 84_999_999_999) | st.integers(84_903_000_000, 84_903_000_050)
    )
)
def test_a_number_is_seen_once(numbers):
    seen = SeenNumbers()
    model = set()
    for number in numbers:
        assert seen.seen_before(number) is (number in model)
        model.add(number)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_header_is_taken_with_or_without_a_byte_order_mark(mark, end):
    check_header(mark + ",".join(HEADER).encode() + end)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "the file is empty"),
        (",".join(HEADER).encode("utf-16"), "UTF-16"),
        (b"\xe9", "not UTF-8"),
        (";".join(HEADER).encode(), "separate them by commas"),
        (",".join(HEADER[1:]).encode(), "lacks msisdn"),
        (",".join([*HEADER, "shoe_size"]).encode(), "has shoe_size too many"),
        (",".join(reversed(HEADER)).encode(), "another order"),
    ],
)
def test_another_header_is_refused_and_the_difference_told(line, reason):
    with pytest.raises(NotSubscribers, match=reason):
        check_header(line)
