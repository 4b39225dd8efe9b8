"""`data_coding` says what the octets mean, and no octets are too odd to be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.text.codings import decode_short_message, decode_ucs2, encode_ucs2
from telcod.text.gsm import pack

pytestmark = pytest.mark.rule("SMPP-3")

LINKS = ["gsm7", "gsm7-packed", "latin1", "ascii"]


@pytest.mark.parametrize(
    ("link", "octets", "text"),
    [
        ("gsm7", b"A\x00\x1b\x65", "A@€"),
        ("gsm7-packed", pack(b"KT B\x00D"), "KT B@D"),
        ("latin1", b"A@\xe9", "A@é"),
        ("ascii", b"A@\xe9", "A@\ufffd"),
    ],
)
@pytest.mark.parametrize("data_coding", [0x00, 0x10, 0x13, 0x80, 0xC0, 0xD8, 0xF0, 0xF3, 0x40])
def test_the_default_alphabet_belongs_to_the_link(link, octets, text, data_coding):
    assert decode_short_message(octets, data_coding, link) == text


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("data_coding", "octets", "text"),
    [
        (0x01, b"DK", "DK"),
        (0x01, b"\xff", "\ufffd"),
        (0x02, b"\x00\xff", "\x00ÿ"),
        (0x03, b"caf\xe9", "café"),
        (0x04, b"\xe9", "é"),
        (0x05, "ア".encode("shift_jis"), "ア"),
        (0x06, "Да".encode("iso8859-5"), "Да"),
        (0x07, "שלום".encode("iso8859-8"), "שלום"),
        (0x08, "Đăng ký".encode("utf-16-be"), "Đăng ký"),
        (0x0A, "ア".encode("iso2022_jp"), "ア"),
        (0x0E, "한".encode("euc_kr"), "한"),
        (0x0F, b"A\xe9", "Aé"),
        (0x14, b"A\xe9", "Aé"),
        (0x18, "ký".encode("utf-16-be"), "ký"),
        (0x1B, "ký".encode("utf-16-be"), "ký"),
        (0x28, b"A\xe9", "Aé"),
        (0x48, "ký".encode("utf-16-be"), "ký"),
        (0xE0, "ký".encode("utf-16-be"), "ký"),
        (0xF4, b"A\xe9", "Aé"),
        (0xF5, b"A\xe9", "Aé"),
        (0x108, "ký".encode("utf-16-be"), "ký"),
    ],
)
def test_other_codings_are_the_same_on_every_link(link, data_coding, octets, text):
    assert decode_short_message(octets, data_coding, link) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("d83d de00", "😀"),
        ("0041 d83d", "A\ufffd"),
        ("0041 de00 0042", "A\ufffdB"),
        ("d83d 0041", "\ufffdA"),
        ("0041 00", "A\ufffd"),
        ("feff 0041", "A"),
        ("fffe 4100", "A"),
        ("fffe 4100 00", "A\ufffd"),
        ("fffe 3dd8", "\ufffd"),
        ("", ""),
    ],
)
def test_ucs2_survives_halves_and_marks(octets, text):
    assert decode_ucs2(bytes.fromhex(octets)) == text


@given(st.text().filter(lambda text: not text.startswith(("\ufeff", "\ufffe"))))
def test_ucs2_is_undone(text):
    assert decode_ucs2(encode_ucs2(text)) == text


def test_packed_text_after_a_header_begins_behind_its_fill_bits():
    packed = pack(b"HELLO", fill_bits=1)
    assert decode_short_message(packed, 0, "gsm7-packed", udh_octets=6) == "HELLO"
    assert decode_short_message(packed, 0, "gsm7-packed") != "HELLO"


def test_half_a_surrogate_of_ours_becomes_a_question_mark():
    assert encode_ucs2("a\ud83d") == b"\0a\0?"


@pytest.mark.rule("SMPP-2")
@given(st.binary(max_size=300), st.integers(0, 255), st.sampled_from(LINKS), st.integers(0, 140))
def test_any_octets_in_any_coding_are_a_text(octets, data_coding, link, udh_octets):
    text = decode_short_message(octets, data_coding, link, udh_octets=udh_octets)
    assert text.isprintable() or len(text) <= 2 * len(octets)
    text.encode("utf-8")
