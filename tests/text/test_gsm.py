"""Septets both ways: the alphabet, its extension, its packing."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpplib import gsm as foreign_gsm

from telcod.text.codings import decode_packed
from telcod.text.gsm import (
    NotGsm7Error,
    decode_gsm7,
    encode_gsm7,
    fill_bits_after,
    foreign_characters,
    gsm7_or_none,
    is_gsm7,
    pack,
    pad_with_cr,
    septets,
    unpack,
)

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"
gsm_texts = st.text(BASIC + EXTENSION)

pytestmark = pytest.mark.rule("SMPP-3")


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("DK", "44 4b"),
        ("@£$_", "00 01 02 11"),
        ("Ñàé", "5d 7f 05"),
        ("a€b", "61 1b 65 62"),
        ("{}[]", "1b 28 1b 29 1b 3c 1b 3e"),
        ("^~|\\\f", "1b 14 1b 3d 1b 40 1b 2f 1b 0a"),
    ],
)
def test_vectors_hold_both_ways(text, octets):
    assert encode_gsm7(text) == bytes.fromhex(octets)
    assert decode_gsm7(bytes.fromhex(octets)) == text


def test_the_alphabet_is_the_one_of_the_foreign_codec():
    # smpplib has a backtick where 23.038 has a section sign (0x5F), and no form feed (0x1B 0x0A).
    for char in (BASIC + EXTENSION).replace("§", "").replace("\f", ""):
        assert encode_gsm7(char) == foreign_gsm.gsm_encode(char)


@given(gsm_texts)
def test_what_is_encoded_decodes_to_itself(text):
    assert decode_gsm7(encode_gsm7(text)) == text
    assert septets(text) == sum(2 if char in EXTENSION else 1 for char in text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("41 1b 41", "AA"),  # The extension lacks it: the basic character.
        ("41 1b 1b 42", "A B"),  # Reserved for another extension: a blank.
        ("41 1b", "A "),
        ("1b 00", "@"),
        ("41 80 ff", "A\ufffd\ufffd"),
        ("1b 80", "\ufffd"),
    ],
)
def test_odd_escapes_and_octets_show_what_the_standard_says(octets, text):
    assert decode_gsm7(bytes.fromhex(octets)) == text


@given(st.binary())
def test_any_octets_decode(octets):
    decode_gsm7(octets)


@given(st.text())
def test_a_text_fits_exactly_if_each_character_does(text):
    fits = all(char in BASIC + EXTENSION for char in text)
    assert is_gsm7(text) is fits
    assert (gsm7_or_none(text) is not None) is fits


def test_no_other_character_of_unicode_has_septets():
    fit = {chr(code) for code in range(sys.maxunicode + 1) if is_gsm7(chr(code))}
    assert fit == set(BASIC + EXTENSION)


def test_a_raw_escape_never_makes_a_pair():
    assert gsm7_or_none("\x1be") is None
    assert gsm7_or_none("\x1b€") is None


def test_an_unfit_text_names_its_characters_once():
    with pytest.raises(NotGsm7Error) as caught:
        encode_gsm7("Đăng ký Đ1 €")
    assert caught.value.characters == "Đăý"
    assert foreign_characters("Dang ky") == ""
    with pytest.raises(NotGsm7Error):
        septets("ý")


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "e8 32 9b fd 46 97 d9 ec 37"),  # The vector everybody knows.
        ("*100#", "aa 18 0c 36 02"),
        ("", ""),
    ],
)
def test_packed_vectors_hold_both_ways(text, packed):
    assert pack(encode_gsm7(text)) == bytes.fromhex(packed)
    assert decode_packed(bytes.fromhex(packed)) == text


@given(st.lists(st.integers(0, 127)).map(bytes), st.integers(0, 6))
def test_packing_is_undone_when_the_count_is_known(plain, fill_bits):
    packed = pack(plain, fill_bits=fill_bits)
    assert len(packed) == (fill_bits + 7 * len(plain) + 7) // 8
    assert unpack(packed, fill_bits=fill_bits, count=len(plain)) == plain


@given(gsm_texts, st.sampled_from([0, 6, 7]))
def test_padding_with_a_return_keeps_the_text_without_a_count(text, udh_octets):
    fill_bits = fill_bits_after(udh_octets)
    plain = encode_gsm7(text)
    got = unpack(
        pack(pad_with_cr(plain, fill_bits=fill_bits), fill_bits=fill_bits), fill_bits=fill_bits
    )
    ends_on_octet = (fill_bits + 7 * len(plain)) % 8 == 0
    if ends_on_octet and plain.endswith(b"\r"):
        assert got == plain + b"\r"  # Twice a return is once a return (23.038, 6.1.2.3.1).
    elif (8 * len(pack(plain, fill_bits=fill_bits)) - fill_bits) % 7 == 0 and plain.endswith(b"\0"):
        assert got in (plain, plain[:-1])
    else:
        assert got == plain


@pytest.mark.parametrize(
    ("plain", "fill_bits", "padded"),
    [
        (b"1234567", 0, b"1234567\r"),  # Seven spare bits would be an `@`.
        (b"123456", 0, b"123456"),
        (b"12345678", 0, b"12345678"),
        (b"1234567\r", 0, b"1234567\r\r"),  # A return on the last bit would be taken for it.
        (b"123456", 1, b"123456"),
        (b"123456", 6, b"123456\r" if (6 + 42) % 8 == 1 else b"123456"),
        (b"", 1, b"\r"),
        (b"", 0, b""),
    ],
)
def test_a_return_is_added_where_the_standard_asks_for_it(plain, fill_bits, padded):
    assert pad_with_cr(plain, fill_bits=fill_bits) == padded


def test_spare_bits_are_no_at_sign():
    assert decode_packed(pack(b"MK 1234")) == "MK 1234"
    assert decode_packed(pack(pad_with_cr(b"MK 1234"))) == "MK 1234"


def test_the_text_after_a_header_begins_at_a_septet():
    assert [fill_bits_after(octets) for octets in (0, 6, 7, 12)] == [0, 1, 0, 2]
    assert decode_packed(pack(b"DK", fill_bits=1), udh_octets=6) == "DK"


def test_a_full_packed_part_keeps_an_at_sign_at_its_end():
    plain = b"A" * 152 + b"\0"
    assert decode_packed(pack(plain, fill_bits=1), udh_octets=6) == "A" * 152 + "@"


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_packed_octets_decode(packed, udh_octets):
    decode_packed(packed, udh_octets=udh_octets)
