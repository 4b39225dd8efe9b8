"""What a person types and what a command is."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.text.fold import fold, fold_character, fold_keep, raw_after, unaccent

pytestmark = pytest.mark.rule("KW-1")

typed = st.text(
    "dDđĐkK ạẠ\u0323\u0302_\"'“”.!? gui 1566GỬI\u200b\ufeff\u00a0\tsoan9223", max_size=40
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("DK", "DK"),
        ("dk", "DK"),
        ("  dk7\n", "DK7"),
        ("kt   b", "KT B"),
        ("KT\u00a0\u3000B", "KT B"),
        ("KT\u2003\t B", "KT B"),
        ("KT_B", "KT B"),
        ("__KT__B__", "KT B"),
        ("Đk", "DK"),
        ("Ðk", "DK"),
        ("hủy", "HUY"),
        (unicodedata.normalize("NFD", "hủy"), "HUY"),
        ("HỦY", "HUY"),
        ("xóa b ALL", "XOA B ALL"),
        ("\ufeffKT", "KT"),
        ("K\u200bT\u200d \u2060B\x00\x00", "KT B"),
        ("K\u00adT", "KT"),
        ('"KT"', "KT"),
        ("“KT”", "KT"),
        ("«KT»", "KT"),
        ("‘KT’", "KT"),
        ("''KT''", "KT"),
        ('"\t"MK xxxx"\t"', "MK XXXX"),
        ('"MK" abcd', "MK ABCD"),
        ("KT.", "KT"),
        ("KT!?", "KT"),
        ('"KT."', "KT"),
        ("KT ...", "KT"),
        ("KT…", "KT"),
        ("KT gui 1566", "KT"),
        ("KT gửi 1566", "KT"),
        ("KT GỬI  9223.", "KT"),
        ("KT, gui 1566", "KT"),
        ("KT gui1566", "KT"),
        ("KT gửi đến 1566!", "KT"),
        ("KT gui 1566 gui 1566", "KT"),
        ('"KT" gửi 1566', "KT"),
        ('"MK xxxx" gửi 9223', "MK XXXX"),
        ("soan HUY gui 1566", "HUY"),
        ("Soạn tin KT B gửi 1566", "KT B"),
        ("soan HUY", "SOAN HUY"),
        ("KT gui 1234", "KT GUI 1234"),
        ("KTGUI 1566", "KTGUI 1566"),
        ("gui 1566", ""),
        ("B 0903.123.456", "B 0903.123.456"),
        ("B 0903123456, 0904123456", "B 0903123456, 0904123456"),
        ("ＤＫ７", "DK7"),
        ("", ""),
        (" _\"'.!? ", ""),
    ],
)
def test_what_does_not_matter_is_gone(text, folded):
    assert fold(text) == folded


def test_the_short_codes_of_the_suffix_are_configuration():
    assert fold("KT gui 1789", {"1789"}) == "KT"
    assert fold("KT gui 1566", {"1789"}) == "KT GUI 1566"
    assert fold_keep("MK a_b gui 1789", {"1789"}) == "MK a_b"


@given(typed | st.text())
@example("a.gui 1566")
@example("soan soan KT gui 1566")
@example("ŉ ẚ ǰ ΐ ﬁ ½ ¨ ﹍ ͅ")
def test_folding_again_changes_nothing(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text.upper()) == fold(fold(text.upper()))


def test_no_character_of_unicode_folds_to_something_that_folds_further():
    # A step that no script's case or decomposition rules are aligned with keeps it quick.
    characters = [*range(0x3100), *range(0x3100, sys.maxunicode, 97), *range(0xF900, 0x10000)]
    for char in map(chr, characters):
        folded = fold_character(char)
        assert "".join(map(fold_character, folded)) == folded, hex(ord(char))


@given(st.text())
def test_a_folded_text_has_single_blanks_capitals_and_no_accents(text):
    folded = fold(text)
    assert folded == folded.strip()
    assert "  " not in folded
    assert not {unicodedata.category(char) for char in folded} & {"Mn", "Cf", "Cc"}
    assert '"' not in folded
    assert "_" not in folded


@given(
    st.text("abcdđABC019 ", max_size=20),
    st.text(' \u00a0_\u200b"“', max_size=4),
    st.sampled_from(["", " gui 1566", " gửi 9223."]),
)
def test_dressing_a_command_up_changes_nothing(command, around, suffix):
    dressed = around + command.replace(" ", around + " ") + around + suffix
    assert fold(dressed) == fold(command)


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("MK abc123", "MK abc123"),
        ("mk aBc123", "MK aBc123"),
        ("MK  abc123  ", "MK abc123"),
        ("MK_abcd", "MK abcd"),
        ("mk_Ab_1", "MK Ab_1"),
        ("MK ab_cd", "MK ab_cd"),
        ("MK mật1", "MK mật1"),
        (unicodedata.normalize("NFD", "MK mật1"), "MK mật1"),
        ("MK abq\u0323", "MK abq\u0323"),  # No letter has this accent composed.
        ("MK abc1!", "MK abc1!"),
        ("MK abc1.", "MK abc1."),
        ("MK ab'cd", "MK ab'cd"),
        ('MK "abcd"', "MK abcd"),
        ('"MK abcd"', "MK abcd"),
        ('"\t"MK abcd"\t"', "MK abcd"),
        ("MK “abcd”", "MK abcd"),
        ("MK abcd gui 9223", "MK abcd"),
        ("MK abcd gửi 9223.", "MK abcd"),
        ('"MK abcd" gửi 9223', "MK abcd"),
        ("soan MK aBcd gui 9223", "MK aBcd"),
        ("MK a\u200bbcd\ufeff", "MK abcd"),
        ("MK ab  cd", "MK ab cd"),
        ("MK ＡＢ１２", "MK ＡＢ１２"),
        ("MK", "MK"),
        ("MK.", "MK"),
        ("MK !", "MK"),
        ("", ""),
    ],
)
def test_an_argument_is_kept_as_typed(text, kept):
    assert fold_keep(text) == kept


@pytest.mark.rule("PAY-1")
@given(
    st.text("aZ09ộđ_'!.-", min_size=1, max_size=16),
    st.sampled_from(["", " gui 9223", '"', " \u00a0"]),
)
def test_a_password_is_never_silently_another(password, behind):
    kept = fold_keep(f"MK {password}{behind}").partition(" ")[2]
    assert kept in (password, password.strip("_'"), "")
    if password.isascii() and password.isalnum():
        assert kept == password


@given(typed | st.text(), st.integers(0, 60))
def test_the_way_back_agrees_with_the_folding(text, folded_chars):
    assert fold(raw_after(text, 0)) in (fold(text), fold(fold(text)))
    rest = raw_after(text, folded_chars)
    assert len(rest) <= 4 * len(text) + 4
    # One typed character may fold to several (a ligature, a syllable): it is kept whole.
    folded = fold(fold(text)[folded_chars:]).replace(" ", "")
    assert fold(rest).replace(" ", "").endswith(folded)


def test_the_rest_begins_where_the_keyword_ended():
    assert raw_after("b0903.123.456 gui 1566", 1) == "0903.123.456"
    assert raw_after("Đk  7", 2) == "7"
    assert raw_after("MK x", 99) == ""
    assert raw_after("kt _ b   Abc  d", 4) == "Abc d"


@given(st.text())
def test_unaccenting_keeps_case_and_is_stable(text):
    assert unaccent(unaccent(text)) == unaccent(text)
    assert unaccent("Nguyễn Thị Đào") == "Nguyen Thi Dao"


def test_a_very_long_text_folds_in_linear_time():
    assert fold("gui 1566 " * 5000) == ""
    assert fold("gui1566" * 5000).startswith("GUI1566")
