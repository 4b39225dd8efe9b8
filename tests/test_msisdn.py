"""One number, many spellings, one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.msisdn import (
    OLD_PREFIXES,
    Msisdn,
    NumberError,
    Typed,
    from_address,
    international,
    masked,
    national,
    old_prefix_problems,
    parse,
    parse_many,
)

NUMBER = 84903123456
OLD = {  # What an independent hand worked out.
    "01201234567": 84701234567,
    "01211234567": 84791234567,
    "01221234567": 84771234567,
    "01261234567": 84761234567,
    "01281234567": 84781234567,
}

nationals = st.integers(100_000_000, 999_999_999)
separators = st.text(" .-()[]\t\u00a0\u2011\u200b\u202a", max_size=2)


def spellings(national_digits):
    return st.sampled_from(
        [
            f"0{national_digits}",
            f"84{national_digits}",
            f"+84{national_digits}",
            f"0084{national_digits}",
            f"{national_digits}",
            f"+84(0){national_digits}",
        ]
    )


@pytest.mark.rule("NUM-1")
@pytest.mark.parametrize(
    "text",
    [
        "0903123456",
        "84903123456",
        "+84903123456",
        "0084903123456",
        "903123456",
        "090 312 3456",
        "090.312.3456",
        "(090) 312-3456",
        "+84 (0)90 312 34 56",
        "[+84] 903–123–456",
        "  0903123456\r\n",
        "\u202a+84 90 312 34 56\u202c",
        "０９０３１２３４５６",
        "＋84903123456",
        "٠٩٠٣١٢٣٤٥٦",
        "090_312_3456",
    ],
)
def test_every_accepted_form_is_one_number(text):
    assert parse(text) == NUMBER


@pytest.mark.rule("NUM-1")
@given(nationals, st.data())
def test_separators_anywhere_change_nothing(digits, data):
    spelling = data.draw(spellings(digits))
    cut = [data.draw(separators) + char for char in spelling]
    assert parse("".join(cut) + data.draw(separators)) == 84_000_000_000 + digits


@pytest.mark.rule("NUM-2")
@pytest.mark.parametrize(("old", "new"), OLD.items())
@pytest.mark.parametrize("form", ["{}", "84{:s}", "+84{:s}", "0084{:s}", "+84 {:s}"])
def test_an_old_number_is_converted_in_every_form(old, new, form):
    text = form.format(old if form == "{}" else old[1:])
    assert parse(text) == new
    assert parse(old[1:]) == new


@pytest.mark.rule("NUM-2")
def test_the_map_of_old_prefixes_is_data():
    assert parse("01691234567") == NumberError.TOO_LONG
    assert parse("01691234567", {"0169": "039"}) == 84391234567
    assert parse("01201234567", {}) == NumberError.TOO_LONG
    assert parse("01201234567", OLD_PREFIXES) == 84701234567


@pytest.mark.rule("NUM-2")
def test_a_map_that_makes_no_numbers_is_found_out():
    assert old_prefix_problems(OLD_PREFIXES) == ()
    assert len(old_prefix_problems({"120": "070", "0121": "79", "0122": "007", "0126": "076"})) == 3


@pytest.mark.rule("NUM-3")
@pytest.mark.parametrize("text", ["0841234567", "841234567", "+84841234567", "84841234567"])
def test_a_leading_84_is_no_country_code_by_itself(text):
    assert parse(text) == 84841234567


@pytest.mark.rule("NUM-3")
def test_after_a_plus_84_is_a_country_code():
    assert parse("+841234567") == NumberError.TOO_SHORT


@pytest.mark.rule("NUM-1", "NUM-3")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NumberError.EMPTY),
        (" .-() \u200b", NumberError.EMPTY),
        ("+", NumberError.NOT_A_NUMBER),
        ("abc", NumberError.NOT_A_NUMBER),
        ("0903123456x", NumberError.NOT_A_NUMBER),
        ("0903+123456", NumberError.NOT_A_NUMBER),
        ("0903123456,0904123456", NumberError.NOT_A_NUMBER),
        ("+0903123456", NumberError.NOT_A_NUMBER),
        ("090312345²", NumberError.NOT_A_NUMBER),
        ("840012345678", NumberError.NOT_A_NUMBER),
        ("9090", NumberError.SHORT_CODE),
        ("001566", NumberError.SHORT_CODE),
        ("+85512345678", NumberError.FOREIGN),
        ("0085512345678", NumberError.FOREIGN),
        ("85512345678", NumberError.FOREIGN),
        ("+903123456", NumberError.FOREIGN),
        ("0903123", NumberError.TOO_SHORT),
        ("090312345", NumberError.TOO_SHORT),
        ("84012345678", NumberError.TOO_SHORT),
        ("9031234567", NumberError.TOO_LONG),
        ("09031234567", NumberError.TOO_LONG),
        ("849031234567", NumberError.TOO_LONG),
        ("8490312345678", NumberError.TOO_LONG),
        ("9" * 16, NumberError.TOO_LONG),
        ("0" * 5000, NumberError.NOT_A_NUMBER),
        ("1" * 5000, NumberError.TOO_LONG),
    ],
)
def test_what_is_no_number_says_why(text, reason):
    assert parse(text) is reason


@pytest.mark.rule("NUM-1")
@given(st.text() | st.text("0123456789+48 .-()"))
def test_any_text_is_a_number_or_a_reason(text):
    number = parse(text)
    if not isinstance(number, NumberError):
        assert 84_100_000_000 <= number <= 84_999_999_999


@pytest.mark.rule("NUM-1", "KW-8")
@given(nationals)
def test_the_shown_forms_read_back_as_the_same_number(digits):
    number = Msisdn(84_000_000_000 + digits)
    assert national(number) == f"0{digits}"
    assert international(number) == f"84{digits}"
    assert parse(national(number)) == parse(international(number)) == number


def test_a_masked_number_hides_its_middle():
    assert masked(Msisdn(NUMBER)) == "8490***3456"


@pytest.mark.rule("KW-5", "NUM-1")
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0903123456", [NUMBER]),
        ("0903123456 0904123456", [NUMBER, 84904123456]),
        ("0903123456,0904123456;84905123456", [NUMBER, 84904123456, 84905123456]),
        ("0903123456\n0904123456", [NUMBER, 84904123456]),
        ("0903123456_0904123456", [NUMBER, 84904123456]),
        ("090 312 3456 090 412 3456", [NUMBER, 84904123456]),
        ("+84 90 312 34 56, (090) 412-34-56", [NUMBER, 84904123456]),
        ("0120 123 456 7", [84701234567]),
        ("0 9 0 3 1 2 3 4 5 6", [NUMBER]),
        ("841234567 0841234567", [84841234567, 84841234567]),
        ("0903123456 - 0904123456", [NUMBER, 84904123456]),
    ],
)
def test_several_numbers_of_a_text_are_told_apart(text, numbers):
    assert [typed.number for typed in parse_many(text)] == numbers


@pytest.mark.rule("KW-5")
def test_each_wrong_number_has_its_own_verdict_and_spoils_no_other():
    assert parse_many("090312345 0904123456, me yeu; 0905 123") == (
        Typed("090312345", NumberError.TOO_SHORT),
        Typed("0904123456", Msisdn(84904123456)),
        Typed("me yeu", NumberError.NOT_A_NUMBER),
        Typed("0905 123", NumberError.TOO_SHORT),
    )
    assert parse_many(" , ;; - ") == ()
    assert [typed.text for typed in parse_many("090312345 090412345 x 2 0903123456")] == [
        "090312345",
        "090412345",
        "x 2",
        "0903123456",
    ]


@pytest.mark.rule("KW-5")
@given(
    st.lists(nationals.flatmap(spellings), max_size=5), st.sampled_from([",", "; ", "\n", " , "])
)
def test_numbers_between_commas_are_all_found(typed, separator):
    assert [number for _, number in parse_many(separator.join(typed))] == [*map(parse, typed)]


@pytest.mark.rule("KW-5")
@given(st.text("0123456789 ,;+-_ab") | st.text())
def test_no_text_breaks_the_cutting_and_no_digit_is_lost(text):
    found = "".join(typed.text for typed in parse_many(text))
    assert [c for c in found if c in "0123456789"] == [c for c in text if c in "0123456789"]


@pytest.mark.rule("KW-3", "NUM-1")
@pytest.mark.parametrize(
    ("addr", "ton", "npi", "number"),
    [
        ("84903123456", 1, 1, NUMBER),
        ("0903123456", 2, 1, NUMBER),
        ("903123456", 2, 1, NUMBER),
        ("84903123456", 0, 0, NUMBER),
        ("+84903123456", 1, 1, NUMBER),
        ("+84903123456", 0, 0, NUMBER),
        ("0903123456", 1, 1, NUMBER),
        ("841201234567", 1, 1, 84701234567),
        ("841234567", 2, 8, 84841234567),
        ("841234567", 1, 1, NumberError.TOO_SHORT),
        ("903123456", 1, 1, NumberError.FOREIGN),
        ("14155550100", 1, 1, NumberError.FOREIGN),
        ("", 0, 0, NumberError.EMPTY),
        ("9090", 3, 1, NumberError.SHORT_CODE),
        ("1566", 0, 1, NumberError.SHORT_CODE),
        ("18001", 1, 1, NumberError.SHORT_CODE),
        ("MobiFone", 5, 0, NumberError.NAME),
        ("MobiFone", 0, 0, NumberError.NAME),
        ("84903123456", 5, 0, NumberError.NAME),
        ("84.113.161.245", 0, 14, NumberError.NAME),
        ("84012345678", 1, 1, NumberError.TOO_SHORT),
        ("84900123456", 1, 1, 84900123456),
        ("123456", 1, 1, NumberError.SHORT_CODE),
        ("1234567", 1, 1, NumberError.FOREIGN),
    ],
)
def test_a_senders_address_is_a_number_a_short_code_or_a_name(addr, ton, npi, number):
    assert from_address(addr, ton, npi) == number


@pytest.mark.rule("NUM-2")
def test_the_map_of_old_prefixes_holds_wherever_a_number_may_stand():
    odd = {"0120": "071"}
    number, other = Msisdn(84711234567), Msisdn(NUMBER)
    assert from_address("01201234567", 0, 1, odd) == number
    assert from_address("841201234567", 1, 1, odd) == number
    for typed, found in (
        ("0120 123 4567", [Typed("0120 123 4567", number)]),
        ("x 01201234567", [Typed("x", NumberError.NOT_A_NUMBER), Typed("01201234567", number)]),
        (
            "0903123456 01201234567",
            [Typed("0903123456", other), Typed("01201234567", number)],
        ),
        ("x 0903 123 456", [Typed("x", NumberError.NOT_A_NUMBER), Typed("0903 123 456", other)]),
        (
            "09991234567 0903123456",
            [Typed("09991234567", NumberError.TOO_LONG), Typed("0903123456", other)],
        ),
        ("0121 123 4567", [Typed("0121 123 4567", NumberError.TOO_LONG)]),
    ):
        assert list(parse_many(typed, odd)) == found


@pytest.mark.rule("SMPP-2")
@given(st.text(), st.integers(0, 255), st.integers(0, 255))
def test_no_address_breaks_the_reading(addr, ton, npi):
    from_address(addr, ton, npi)


def joined_without_end(words):
    """The numbers of some words, tried as `parse_many` says but without stopping anywhere."""
    found, at = [], 0
    while at < len(words):
        ends = range(at + 1, min(at + 18, len(words)) + 1)
        made = [(parse("".join(words[at:end])), end) for end in ends]
        number, end = next(((n, e) for n, e in made if not isinstance(n, NumberError)), (0, at + 1))
        found += [number] * bool(number)
        at = end
    return found


pieces = st.sampled_from(
    ["0", "84", "+84", "0084", "(0)", "0120", "903", "9", "123456", "1 2 3", "x", "0903123456"]
)


@given(st.lists(pieces, min_size=2, max_size=24))
def test_words_that_are_too_many_digits_for_a_number_hide_none_behind_them(some):
    words = " ".join(some).split()
    found = [one.number for one in parse_many(" ".join(words))]
    numbers = [number for number in found if not isinstance(number, NumberError)]
    whole = parse("".join(words))
    if len(words) <= 18 and not isinstance(whole, NumberError):
        assert numbers == [whole]
    else:
        assert numbers == joined_without_end(words)


def test_the_longest_form_of_a_number_may_be_in_pieces_beside_others():
    found = parse_many("0084 0120 123 4 5 67 0903123456 12345678 12345678")
    assert [one.number for one in found][:2] == [OLD["01201234567"], NUMBER]
