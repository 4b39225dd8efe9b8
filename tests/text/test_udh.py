"""A header is believed only as far as it tells the truth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.text.udh import Concat, Udh, UdhProblem, parse_udh, udh_concat

pytestmark = pytest.mark.rule("SMPP-3")


@pytest.mark.parametrize(
    ("octets", "udh", "rest"),
    [
        ("05 00 03 07 02 01 41", Udh(6, Concat(7, 2, 1)), b"A"),
        ("06 08 04 01 07 02 02 41", Udh(7, Concat(263, 2, 2, wide=True)), b"A"),
        ("00 41", Udh(1), b"A"),
        ("06 05 04 0b 84 23 f0 41", Udh(7), b"A"),
        ("0b 05 04 0b 84 23 f0 00 03 07 02 01", Udh(12, Concat(7, 2, 1)), b""),
        # Twice, and both widths: the last one counts.
        ("0a 00 03 07 02 01 00 03 08 03 02", Udh(11, Concat(8, 3, 2)), b""),
        ("0b 00 03 07 02 01 08 04 00 09 02 02", Udh(12, Concat(9, 2, 2, wide=True)), b""),
        ("02 70 00 41", Udh(3), b"A"),
    ],
)
def test_concatenation_is_found_among_other_elements(octets, udh, rest):
    assert parse_udh(bytes.fromhex(octets)) == (udh, rest)


@pytest.mark.parametrize(
    ("octets", "udh", "rest"),
    [
        ("", Udh(0, problem=UdhProblem.EMPTY), b""),
        ("44 4b", Udh(0, problem=UdhProblem.BEYOND_MESSAGE), b"DK"),
        ("05 00 09 07 02 01 41", Udh(6, problem=UdhProblem.ELEMENT_BEYOND_HEADER), b"A"),
        ("06 00 03 07 02 01 00 41", Udh(7, problem=UdhProblem.ELEMENT_BEYOND_HEADER), b"A"),
        ("04 00 02 07 02 41", Udh(5, problem=UdhProblem.CONCAT_LENGTH), b"A"),
        ("05 00 03 07 02 03 41", Udh(6, problem=UdhProblem.CONCAT_NUMBERS), b"A"),
        ("05 00 03 07 02 00 41", Udh(6, problem=UdhProblem.CONCAT_NUMBERS), b"A"),
        ("05 00 03 07 00 00 41", Udh(6, problem=UdhProblem.CONCAT_NUMBERS), b"A"),
    ],
)
def test_a_lying_header_is_a_value_and_the_text_is_kept(octets, udh, rest):
    assert parse_udh(bytes.fromhex(octets)) == (udh, rest)


@given(st.binary(max_size=300))
def test_any_octets_are_read(octets):
    udh, rest = parse_udh(octets)
    assert octets[udh.octets :] == rest


@given(st.integers(1, 255), st.data(), st.booleans(), st.binary(max_size=140))
def test_what_is_written_is_read(total, data, wide, text):
    part = data.draw(st.integers(1, total))
    reference = data.draw(st.integers(0, 0xFFFF if wide else 0xFF))
    header = udh_concat(reference, total, part, wide=wide)
    assert parse_udh(header + text) == (
        Udh(len(header), Concat(reference, total, part, wide=wide)),
        text,
    )


@pytest.mark.parametrize(
    ("reference", "total", "part", "wide"),
    [
        (256, 2, 1, False),
        (-1, 2, 1, False),
        (65536, 2, 1, True),
        (0, 2, 3, False),
        (0, 256, 1, False),
        (0, 1, 0, True),
    ],
)
def test_numbers_that_do_not_fit_are_a_bug(reference, total, part, wide):
    with pytest.raises(ValueError, match=r"fit|part"):
        udh_concat(reference, total, part, wide=wide)
