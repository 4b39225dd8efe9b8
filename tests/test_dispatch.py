"""From what people type to a route: every spelling leads where it should, and nothing raises."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import handlers
from telcod.dispatch import (
    MALFORMED_ROUTE,
    NUMBERS_CHARS_MAX,
    REMEMBERED_CHARS_MAX,
    REMEMBERED_MAX,
    TOO_MANY,
    UNKNOWN_ROUTE,
    Args,
    Dispatcher,
    DispatchError,
    Parsed,
    Route,
)
from telcod.msisdn import OLD_PREFIXES
from telcod.types import SILENCE
from tests.world import shipped_rules

B, C = "84903123456", "84783000002"


DAY_SPELLINGS = (
    "DK|dk|Dk|đk|ĐK|'DK'|“DK”| DK |DK.|D K|\u200bDK|DK gui 1566|dk gửi 1566|soan DK gui 1566"
    "|DK_gui_1566|đăng ký|DANGKY|dang_ky|DK1|dk ngay"
)


def parse(text, code="1566"):
    return shipped_rules().dispatcher.parse(code, text)


@pytest.mark.rule("KW-1", "KW-2")
@pytest.mark.parametrize(
    ("route", "texts"),
    [
        (
            "package.register_day",
            DAY_SPELLINGS,
        ),
        ("package.register_week", "DK7|DK 7|dk7|DK-7|dk_7|Đăng ký 7|DK  7|DK7 gui 1566|dk tuan"),
        ("package.cancel", "HUY|hủy|HỦY|Huỷ|HUY7|huy 7|HUY DK7|hủy đk"),
        ("package.show", "KT|kt|K T|kiểm tra|KIEMTRA"),
        ("list.black_show", "KT B|KTB|kt b|K T B|KT_B|ktb.|kiem tra b"),
        ("list.white_show", "KT W|KTW|ktw"),
        ("charges.show", "KT CUOC|KTCUOC|kt cước|KT_CƯỚC|kiểm tra cước"),
        ("notices.stop", "TC|tc|từ chối"),
        ("notices.resume", "ON|on|“on”"),
        ("help", "HD|hd|hướng dẫn|HELP|TG|HD gui 1566"),
        ("confirm.yes", "Y|y|yes"),
        ("confirm.no", "N|no"),
    ],
)
def test_what_does_not_matter_does_not_matter(route, texts):
    for text in texts.split("|"):
        assert parse(text)[:2] == (route, ()), text


@pytest.mark.rule("KW-1", "KW-5", "NUM-1", "NUM-2")
@pytest.mark.parametrize(
    ("text", "route", "args"),
    [
        ("B 0903123456", "list.black_add", (B,)),
        ("B0903123456", "list.black_add", (B,)),
        ("b:0903123456", "list.black_add", (B,)),
        ("B +84 903 123 456", "list.black_add", (B,)),
        ("B (0903) 123-456 gui 1566", "list.black_add", (B,)),
        ("B 0903123456 01283000002", "list.black_add", (B, C)),
        ("B 0903123456,0783000002;0903123456", "list.black_add", (B, C, B)),
        ("W 0903123456 abc", "list.white_add", (B, "!ABC")),
        ("XOAB 0903123456", "list.black_remove", (B,)),
        ("XOA B 0903123456", "list.black_remove", (B,)),
        ("xóa b0903123456", "list.black_remove", (B,)),
        ("XOAW ALL", "list.white_remove", ("ALL",)),
        ("XOAWALL", "list.white_remove", ("ALL",)),
        ("xoa w tất cả", "list.white_remove", ("ALL",)),
        ("XOAB", "list.black_remove", ()),
        ("xoa_b", "list.black_remove", ()),
        ("NN EN", "language.set", ("EN",)),
        ("nnvi", "language.set", ("VI",)),
        ("Y 1234", "confirm.yes", ("1234",)),
        ("Y1234", "confirm.yes", ("1234",)),
        ("n 1234", "confirm.no", ("1234",)),
    ],
)
def test_arguments_are_canonical(text, route, args):
    assert parse(text)[:2] == (route, args)


@pytest.mark.rule("KW-3")
@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ("DK toi", "usage.dk"),
        ("HUY toi", "usage.huy"),
        ("KT goi", "usage.kt"),
        ("B", "usage.b"),
        ("W ,", "usage.w"),
        ("XOAB -", "usage.xoab"),
        ("NN", "usage.nn"),
        ("NN FR", "usage.nn"),
        ("NN VI EN", "usage.nn"),
        ("Y 12 34", "usage.y"),
        ("Y !!", "confirm.yes"),
    ],
)
def test_wrong_arguments_lead_to_how_it_is_written(text, usage):
    parsed = parse(text)
    if usage == "confirm.yes":
        assert parsed.route == usage
    else:
        assert parsed[:2] == (MALFORMED_ROUTE, (usage,))


@pytest.mark.rule("KW-3")
@pytest.mark.parametrize(
    ("text", "args"),
    [("xin chao", ("XIN",)), ("", ()), (" . ", ()), ("0903123456", ("0903123456",))],
)
def test_what_is_no_command_is_unknown_by_its_first_word(text, args):
    assert parse(text)[:2] == (UNKNOWN_ROUTE, args)


SECRET_TEXTS = (
    "MK Hunter2x",
    "mk hunter2X",
    '"MK HUNTER2X" gửi 9223',
    "M K hunter2x",
    "MK  hunter2x ",
)


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_a_password_is_no_argument_and_shows_nowhere(text):
    parsed = parse(text, "9223")
    if parsed.route != MALFORMED_ROUTE:
        assert (parsed.route, parsed.secret) == ("password.set", "HUNTER2X")
    assert parsed.secret_bearing
    assert "HUNTER2X" not in f"{parsed!r} {parsed} {parsed.args}".upper()


@pytest.mark.rule("PAY-1")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("MK abc", "9223"),
        ("MK a", "9223"),
        ("MK hunter2x!", "9223"),
        ("MK mậtkhẩu1", "9223"),
        ("MK hunter 2x", "9223"),
        ("MKhunter2x", "9223"),
        ("MK1234", "9223"),
        ("MK", "9223"),
        ("MK 12345678901234567", "9223"),
        ("MK hunter2x", "1566"),
        ("mkhunter2x", "1566"),
        ("ＭＫ hunter2x", "1566"),
        ("MK1234", "1566"),
        ("hunter2x", "9223"),
        ("NHAN a b", "9223"),
        ("HD hunter2x", "9223"),
    ],
)
def test_whatever_may_hold_a_password_is_not_kept(text, code):
    parsed = parse(text, code)
    assert parsed.secret_bearing
    assert parsed.secret == ""
    assert parsed.route in {MALFORMED_ROUTE, UNKNOWN_ROUTE}
    assert all(arg.startswith("usage.") for arg in parsed.args)


pieces = st.one_of(
    st.sampled_from(
        (
            "DK",
            "MK",
            "XOA",
            "B",
            "W",
            "KT",
            "ALL",
            "7",
            " ",
            "_",
            ",",
            "0903123456",
            "gui 1566",
            "đ",
        )
    ),
    st.text(max_size=6),
    st.integers(0, 10**13).map(str),
)


@pytest.mark.rule("KW-1", "PAY-1")
@given(text=st.one_of(st.text(max_size=400), st.lists(pieces, max_size=12).map("".join)))
@example(text="\ud800")
@example(text="B" + "9" * 5_000)
def test_any_text_leads_somewhere(text):
    for code in ("1566", "9223"):
        parsed = parse(text, code)
        assert parsed.route in handlers.ROUTES
        assert handlers.ROUTES[parsed.route].args is Args.NOT_FROM_TEXT or parsed.route in {
            route.name for route in handlers.BY_SHORT_CODE[code]
        }
        assert parsed.secret == "" or parsed.secret_bearing
        assert not parsed.secret_bearing or parsed.secret not in parsed.args
        assert all(isinstance(arg, str) and len(arg) <= 5_100 for arg in parsed.args)


@pytest.mark.rule("KW-1")
@given(text=st.lists(pieces, max_size=8).map("".join))
def test_case_and_blanks_around_never_change_the_route(text):
    assert parse(text.lower()).route == parse(f"  {text.lower()} ").route


@pytest.mark.rule("PAY-1")
@given(secret=st.from_regex(r"[A-Za-z0-9]{4,16}", fullmatch=True))
def test_every_password_is_taken_as_typed_case_aside(secret):
    parsed = parse(f"MK {secret}", "9223")
    assert (parsed.route, parsed.secret, parsed.args) == ("password.set", secret.upper(), ())


def handler(request, tx):
    return SILENCE


ONE, TWO = (
    Route("one", handler, Args.NONE, "usage.one"),
    Route("two", handler, Args.NONE, "usage.two"),
)


@pytest.mark.rule("KW-2")
@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"1566": {"one": ["A"]}}, "route 'two' has no keyword"),
        ({"1566": {"one": ["A"], "two": []}}, "route 'two' has no keyword"),
        ({"1566": {"one": ["A"], "two": ["B"], "three": ["C"]}}, "no route is called 'three'"),
        ({"1566": {"one": ["A B"], "two": ["AB"]}}, "leads to 'one' and to 'two'"),
        ({"1566": {"one": ["A"], "two": ["b"]}}, "is not a keyword"),
        ({"1566": {"one": ["A"], "two": ["7"]}}, "is not a keyword"),
        ({"1566": {"one": ["A"], "two": ["A B C D"]}}, "is not a keyword"),
        ({"1566": {"one": ["A"], "two": ["B"]}, "999": {}}, "no such short code"),
        ({}, "route 'one' has no keyword"),
    ],
)
def test_a_table_with_a_hole_is_refused(keywords, problem):
    with pytest.raises(DispatchError) as refused:
        Dispatcher.build({"1566": (ONE, TWO)}, keywords, OLD_PREFIXES)
    assert any(problem in found for found in refused.value.problems)


@pytest.mark.rule("KW-2")
def test_an_alias_needs_no_code():
    built = Dispatcher.build(
        {"1566": (ONE, TWO)}, {"1566": {"one": ["A", "ANOTHER"], "two": ["B"]}}, OLD_PREFIXES
    )
    assert built.parse("1566", "another").route == "one"
    assert built.short_codes == ("1566",)


@pytest.mark.rule("KW-1", "PAY-11")
@pytest.mark.parametrize(
    ("text", "code", "args"),
    [
        ("NHAN AB12", "9223", ("AB12",)),
        ("nhan 7k2m", "9223", ("7K2M",)),
        ("B x12 0903123456", "1566", ("!X12", B)),
        ("B x12", "1566", ("!X12",)),
        ("XOAB0903123456", "1566", (B,)),
    ],
)
def test_a_word_after_the_keyword_stays_whole(text, code, args):
    assert parse(text, code).args == args


@pytest.mark.rule("NUM-2", "KW-2")
def test_numbers_are_read_by_the_map_that_the_table_was_built_with():
    adds = Route("add", handler, Args.NUMBERS, "usage.add")
    built = Dispatcher.build({"1566": (adds,)}, {"1566": {"add": ["B"]}}, {"0120": "071"})
    assert built.parse("1566", "B 01201234567").args == ("84711234567",)
    assert built.parse("15660120 123 4567", "Hi").args == ("84711234567", "Hi")


@pytest.mark.rule("PFM-30")
def test_only_1566_goes_on_with_a_number():
    dispatcher = shipped_rules().dispatcher
    found = [dispatcher.short_code_or_none(to) for to in ("1566", "9223", "15660903000001")]
    assert found == ["1566", "9223", "1566"]
    assert dispatcher.short_code_or_none("92230903000001") is None
    other = Dispatcher.build({"9223": (ONE,)}, {"9223": {"one": ["A"]}}, OLD_PREFIXES)
    assert other.short_code_or_none("15660903000001") is None


@pytest.mark.rule("PAY-1")
def test_what_may_hold_a_password_is_not_shown_by_its_repr():
    parsed = Parsed("password.set", ("confidence",), "confidence", secret_bearing=True)
    assert repr(parsed) == "Parsed(route='password.set', args=('***',))"
    assert repr(Parsed("help", ("B",))) == "Parsed(route='help', args=('B',))"


def test_texts_that_are_remembered_are_few_and_short():
    built = Dispatcher.build({"1566": (ONE,)}, {"1566": {"one": ["A"]}}, OLD_PREFIXES)
    assert built.parse("1566", "A" + " " * REMEMBERED_CHARS_MAX).route == "one"
    assert not built._remembered
    spellings = ["".join(blanks) + "a" for blanks in product(" _\t", repeat=8)]
    assert len(spellings) > REMEMBERED_MAX
    assert {built.parse("1566", spelling).route for spelling in spellings} == {"one"}
    assert 0 < len(built._remembered) <= REMEMBERED_MAX


GOOD_TEXTS = (
    *("DK", "DK7", "HUY", "KT", "Y", "N", "B 1", "XOAB", "KT B", "W 1", "XOAW", "KT W"),
    *("KT CUOC", "TC", "ON", "HD", "NN VI"),
)


@pytest.mark.rule("KW-2")
def test_every_route_of_the_shipped_tables_is_reached_by_its_first_keyword():
    for code, routes in handlers.BY_SHORT_CODE.items():
        reached = set()
        for text in GOOD_TEXTS:
            reached.add(parse(text, code).route)
        if code == "9223":
            reached |= {parse("MK abcd", code).route, parse("NHAN", code).route}
        assert {route.name for route in routes} <= reached


@pytest.mark.rule("KW-5")
@pytest.mark.parametrize("filler", ["12345678 ", "1 ", "x ", "1"])
def test_a_text_longer_than_any_list_of_numbers_is_not_looked_through(filler):
    short = parse("B " + filler * (NUMBERS_CHARS_MAX // len(filler) // 100))
    long = parse("B " + filler * (2 * NUMBERS_CHARS_MAX))
    assert (short.route, long.route) == ("list.black_add", MALFORMED_ROUTE)
    assert long.args == (TOO_MANY,)
