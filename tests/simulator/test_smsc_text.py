"""What the simulated SMSC writes as parts reads as the text again, however it is marked."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.simulator.smsc_text import (
    GSM7,
    LATIN1,
    UCS2,
    UDHI,
    Concat,
    Long,
    Mailbox,
    Part,
    compose,
    decode_text,
    receipt_text,
    split_udh,
)

pytestmark = pytest.mark.rule("SMPP-3")

GSM_TEXT = st.text(alphabet="@£$ ABCxyz019_^{}\\[~]|€§à\n\f", max_size=400)
# A lone surrogate is no character; phones cannot send one, and UTF-16 decoders refuse it.
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)


def as_part(fields):
    concat, body = None, fields.short_message or fields.tlvs.get("message_payload", b"")
    if fields.esm_class & UDHI:
        concat, body = split_udh(fields.short_message)
    elif "sar_msg_ref_num" in fields.tlvs:
        concat = Concat(*fields.tlvs.values())
    return Part("1566", "84903123456", fields.data_coding, body, concat)


def read(parts):
    mailbox = Mailbox()
    for fields in parts:
        mailbox.add(as_part(fields))
    return mailbox.texts_to("84903123456")


@given(st.one_of(GSM_TEXT, ANY_TEXT), st.sampled_from(list(Long)), st.randoms())
def test_the_parts_of_a_text_in_any_order_are_the_text(text, long, chance):
    parts = list(compose(text, long=long, reference=7))
    chance.shuffle(parts)
    assert read(parts) == [text]


@given(st.text(alphabet="a€", min_size=161, max_size=400), st.sampled_from(["udh8", "udh16"]))
def test_no_part_ends_inside_an_escape(text, long):
    parts = compose(text, long=Long(long))
    assert "".join(decode_text(as_part(part).user_data, GSM7) for part in parts) == text
    assert all(len(part.short_message) <= 160 for part in parts)


@given(st.text(alphabet="ế😀", min_size=71, max_size=200))
def test_no_part_ends_inside_a_surrogate_pair(text):
    parts = compose(text)
    assert "".join(decode_text(as_part(part).user_data, UCS2) for part in parts) == text
    assert all(len(part.short_message) <= 140 for part in parts)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("a" * 160, [160]),
        ("a" * 161, [6 + 153, 6 + 8]),
        ("a" * 306, [159, 159]),
        ("a" * 307, [159, 159, 7]),
        ("€" * 80, [160]),
        ("ế" * 70, [140]),
        ("ế" * 71, [6 + 134, 6 + 8]),
    ],
)
@pytest.mark.rule("PFM-2")
def test_the_parts_are_as_long_as_on_the_air(text, lengths):
    assert [len(part.short_message) for part in compose(text)] == lengths


def test_a_phone_takes_ucs2_only_for_what_gsm7_lacks():
    assert compose("KT §€[]")[0].data_coding == GSM7
    assert compose("Đăng ký")[0].data_coding == UCS2
    assert compose("a`b")[0].data_coding == UCS2  # The grave accent that smpplib's table fakes.
    assert compose("đ".replace("đ", "ê"), data_coding=LATIN1)[0].short_message == b"\xea"


@pytest.mark.parametrize("data_coding", [0, 1, 3])
def test_a_text_that_does_not_fit_a_forced_alphabet_is_refused(data_coding):
    with pytest.raises(ValueError, match="does not fit"):
        compose("ế", data_coding=data_coding)


def test_a_text_of_more_than_255_parts_is_refused():
    with pytest.raises(ValueError, match="256 parts"):
        compose("a" * (153 * 255 + 1))


def test_a_part_that_comes_twice_counts_once_and_a_reference_may_be_used_again():
    first, second = compose("a" * 161, reference=9)
    assert read([first, first, second, second, first]) == ["a" * 161] * 2


def test_parts_of_different_senders_are_not_mixed():
    first, second = (as_part(part) for part in compose("a" * 161))
    mailbox = Mailbox()
    mailbox.add(first)
    mailbox.add(Part("9223", *(getattr(second, name) for name in second.__struct_fields__[1:])))
    assert mailbox.texts_to("84903123456") == []


@given(st.binary(max_size=20))
def test_any_header_is_read_or_taken_as_text(data):
    _, rest = split_udh(data)
    assert data.endswith(rest)


@given(st.binary(max_size=60), st.integers(0, 255))
def test_any_octets_read_as_some_text(data, data_coding):
    assert isinstance(decode_text(data, data_coding), str)


def test_a_header_with_other_elements_still_says_which_part_it_is():
    header = bytes.fromhex("0b 0504 0b84 23f0 0804 1234 0302")
    header = bytes([len(header) - 1]) + header[1:]
    assert split_udh(header + b"x") == (Concat(0x1234, 3, 2), b"x")


def test_a_receipt_is_written_as_appendix_b_has_it():
    text = receipt_text("00ff", stamp="2001010000", delivered=False, text="a" * 30)
    assert text == (
        b"id:00ff sub:001 dlvrd:000 submit date:2001010000 done date:2001010000 "
        b"stat:UNDELIV err:000 text:" + b"a" * 20
    )


def test_a_thousand_shuffled_parts_of_many_texts_find_each_other():
    texts = [f"{number:03d}" + "x" * 300 for number in range(250)]
    parts = [part for number, text in enumerate(texts) for part in compose(text, reference=number)]
    random.Random(7).shuffle(parts)
    assert sorted(read(parts)) == texts
