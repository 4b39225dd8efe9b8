"""How many messages: counted by an oracle that walks character by character."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.text.codings import decode_short_message
from telcod.text.parts import (
    Alphabet,
    Parts,
    TextTooLongError,
    count_parts,
    room_septets,
    split,
)

EXTENSION = "\f^{}\\[~]|€"
gsm_texts = st.text("aB 1@\r" + EXTENSION, max_size=900)
# Byte order marks are read as such, and so are left out: see test_codings.
any_texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\ufffe"), max_size=300
)
near_the_edge = st.integers(60, 72).flatmap(
    lambda n: st.lists(st.sampled_from("ăa😀\U0010ffff"), min_size=n, max_size=3 * n).map("".join)
)

pytestmark = pytest.mark.rule("PFM-2", "SMPP-5")


def walk(sizes, single, part):
    """Fill messages with characters that may not be parted; the oracle."""
    if sum(sizes) <= single:
        return 1
    count, room = 1, part
    for size in sizes:
        if size > room:
            count, room = count + 1, part
        room -= size
    return count


def oracle(text, *, wide=False):
    try:
        text.translate({ord(char): None for char in EXTENSION}).encode("ascii")
        return walk([2 if char in EXTENSION else 1 for char in text], 160, 153 - wide)
    except UnicodeEncodeError:
        return walk([2 if char > "\uffff" else 1 for char in text], 70, 67 - wide)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", Parts(1, Alphabet.GSM7, 0)),
        ("a" * 160, Parts(1, Alphabet.GSM7, 160)),
        ("a" * 161, Parts(2, Alphabet.GSM7, 161)),
        ("a" * 306, Parts(2, Alphabet.GSM7, 306)),
        ("a" * 307, Parts(3, Alphabet.GSM7, 307)),
        ("€" * 80, Parts(1, Alphabet.GSM7, 160)),
        ("a" * 152 + "€" + "a" * 152, Parts(3, Alphabet.GSM7, 306)),
        ("ă" * 70, Parts(1, Alphabet.UCS2, 70)),
        ("ă" * 71, Parts(2, Alphabet.UCS2, 71)),
        ("ă" * 134, Parts(2, Alphabet.UCS2, 134)),
        ("ă" * 135, Parts(3, Alphabet.UCS2, 135)),
        ("ă" * 66 + "😀" + "ă" * 66, Parts(3, Alphabet.UCS2, 134)),
        ("ă" * 66 + "\U0010ffff" + "ă" * 66, Parts(3, Alphabet.UCS2, 134)),
        ("`", Parts(1, Alphabet.UCS2, 1)),
    ],
)
def test_parts_are_counted_as_sent(text, parts):
    assert count_parts(text) == parts
    assert len(split(text)) == parts.count


@given(gsm_texts | near_the_edge, st.booleans())
@example(text="a" * 152 + "€" * 100, wide=False)
def test_the_count_is_the_oracles(text, wide):
    assert count_parts(text).count == oracle(text)
    assert len(split(text, wide=wide)) == oracle(text, wide=wide)


@given(gsm_texts | near_the_edge | any_texts, st.booleans())
def test_joined_parts_are_the_text_and_none_ends_within_a_pair(text, wide):
    parts = split(text, wide=wide)
    assert "".join(part.text for part in parts) == text
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert {part.total for part in parts} == {len(parts)}
    units_max = {
        0: 160 if len(parts) == 1 else 153 - wide,
        8: 140 if len(parts) == 1 else 2 * (67 - wide),
    }
    for part in parts:
        assert len(part.data) <= units_max[part.data_coding]
        assert not part.data.endswith(b"\x1b") or part.data_coding == 8
        assert decode_short_message(part.data, part.data_coding) == part.text


@given(
    gsm_texts | near_the_edge | any_texts,
    st.sampled_from(["gsm7", "gsm7-packed", "latin1", "ascii"]),
    st.booleans(),
)
def test_every_link_reads_back_what_was_sent_on_it(text, link, wide):
    parts = split(text, link, wide=wide)
    udh_octets = 0 if len(parts) == 1 else 7 if wide else 6
    for part in parts:
        assert link in {"latin1", "ascii"} or udh_octets + len(part.data) <= 160
        got = decode_short_message(part.data, part.data_coding, link, udh_octets=udh_octets)
        if link == "gsm7-packed" and part.data_coding == 0:
            # Without a count, an `@` or a return on the last bit cannot be told from padding.
            assert udh_octets + len(part.data) <= 140
            assert got.rstrip("@\r") == part.text.rstrip("@\r")
        else:
            assert got == part.text


def test_a_text_that_the_links_alphabet_lacks_goes_as_ucs2():
    assert split("Ñ", "latin1")[0][3:] == (0, b"\xd1")
    assert split("€", "latin1")[0][3:] == (8, b"\x20\xac")
    assert split("Ω", "gsm7")[0][3:] == (0, b"\x15")
    assert split("Ω", "latin1")[0].data_coding == 8
    assert split("é", "ascii")[0].data_coding == 8


@pytest.mark.parametrize(("wide", "udh_octets"), [(False, 6), (True, 7)])
def test_packed_parts_begin_behind_the_fill_bits_of_their_header(wide, udh_octets):
    text = "abcdefghijklmnopqrstuvwxyz" * 8
    parts = split(text, "gsm7-packed", wide=wide)
    read = [
        decode_short_message(part.data, 0, "gsm7-packed", udh_octets=udh_octets) for part in parts
    ]
    assert read == [text[: 153 - wide], text[153 - wide :]]


def test_an_escape_pair_goes_whole_into_the_next_part():
    first, second = split("a" * 152 + "€" + "b" * 20)
    assert (first.text, second.text) == ("a" * 152, "€" + "b" * 20)
    first, second = split("a" * 151 + "€" + "b" * 20)
    assert (first.text, second.text) == ("a" * 151 + "€", "b" * 20)


def test_a_surrogate_pair_goes_whole_into_the_next_part():
    first, second = split("ă" * 66 + "😀" + "b" * 9)
    assert (first.text, second.text) == ("ă" * 66, "😀" + "b" * 9)
    first, second = split("ă" * 65 + "😀" + "b" * 9)
    assert (first.text, second.text) == ("ă" * 65 + "😀", "b" * 9)


def test_a_full_packed_message_that_ends_on_a_return_gets_no_second_one():
    (part,) = split("a" * 159 + "\r", "gsm7-packed")
    assert len(part.data) == 140
    assert decode_short_message(part.data, 0, "gsm7-packed") == part.text


def test_a_text_beyond_255_parts_is_refused():
    assert len(split("a" * 153 * 255)) == 255
    with pytest.raises(TextTooLongError, match=r"^text needs 256 parts, 255 can be numbered$"):
        split("a" * (153 * 255 + 1))
    assert count_parts("a" * (153 * 255 + 1)).count == 256


def test_half_a_surrogate_of_ours_is_sent_as_a_question_mark():
    assert split("a\ud83d")[0].data == b"\0a\0?"


@given(st.integers(1, 10))
def test_the_room_of_parts_is_what_they_hold(parts):
    assert count_parts("a" * room_septets(parts)).count == parts
    assert count_parts("a" * (room_septets(parts) + 1)).count == parts + 1
