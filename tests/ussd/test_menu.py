"""The shipped menu as a phone sees it: where keys lead, what hints say, what is never lost."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.dispatch import FORWARD_ROUTE, Args
from telcod.text import is_gsm7, septets
from tests.ussd.menus import (
    GUIDE_ROUTE,
    LANGUAGES,
    PRICES,
    ROUTES,
    TEXTS,
    Phone,
    shipped_menu,
    speaker,
)
from ussd.menu import Ask, Place, Run, Show
from ussd.screens import SCREEN_SEPTETS_MIN

pytestmark = pytest.mark.rule("USSD-3")

HINT = {"vi": "Chua dung, moi chon lai.", "en": "Not a choice, please try again."}
WRONG_NUMBER = "So chua dung, vi du 0903123456."
LEAVES = [
    ("1 1", ("package.show", ())),
    ("1 2 1", ("package.register_day", ())),
    ("1 3 1", ("package.register_week", ())),
    ("1 4 1", ("package.cancel", ())),
    ("2 1", ("list.white_show", ())),
    ("2 2 0903123456", ("list.white_add", ("84903123456",))),
    ("2 3 0903123456", ("list.white_remove", ("84903123456",))),
    ("2 4 1", ("list.white_remove", ("ALL",))),
    ("3 1", ("list.black_show", ())),
    ("3 2 0903123456", ("list.black_add", ("84903123456",))),
    ("3 3 0903123456", ("list.black_remove", ("84903123456",))),
    ("3 4 1", ("list.black_remove", ("ALL",))),
    ("4 1", ("notices.stop", ())),
    ("4 2", ("notices.resume", ())),
    ("5 1 0903123456", (GUIDE_ROUTE, ("84903123456",))),
    ("5 2 0903123456 alo?", (FORWARD_ROUTE, ("84903123456", "alo?"))),
    ("6", ("charges.show", ())),
    ("7", ("help", ())),
    ("8 1 1 0042", ("confirm.yes", ("0042",))),
    ("8 1 2", ("confirm.yes", ())),
    ("8 2 1 0042", ("confirm.no", ("0042",))),
    ("8 2 2", ("confirm.no", ())),
    ("8 3 1", ("language.set", ("VI",))),
    ("8 3 2", ("language.set", ("EN",))),
]
PATHS = [path.split() for path, _ in LEAVES]
# Keys, near misses, and what people type; some of it long, foreign or empty.
TYPED = (
    st.sampled_from(["0", "9", *"12345678", "", " ", "10", "1#", "*1", "0903123456", "1234", "ALL"])
    | st.sampled_from(["0903123456*0912345678", "0903123456, 12", "alo", "gui 1566", "9 gui 1566"])
    | st.text(max_size=40)
    | st.text("0123456789*# ", max_size=30)
)
ROOM = st.integers(SCREEN_SEPTETS_MIN, 182)
LANGUAGE = st.sampled_from(LANGUAGES)


def titled(name, language="vi"):
    """What a screen begins with."""
    return shipped_menu().screens[name].text[language].filled(PRICES)


# -- dialling


def test_the_first_screen_in_vietnamese():
    assert Phone().lines == [
        "Payforme: nguoi nhan tra",
        "1 Goi cuoc",
        "2 Whitelist: luon tra",
        "3 Blacklist: chan so",
        "4 Thong bao het tien",
        "5 Nho nguoi nhan tra",
        "6 Cuoc da tru",
        "7 Huong dan",
        "8 Muc khac",
    ]


def test_the_first_screen_in_english():
    assert Phone(language="en").lines == [
        "Payforme: the receiver pays",
        "1 Packages",
        "2 Whitelist: always pay",
        "3 Blacklist: block",
        "4 Guidance messages",
        "5 Ask someone to pay",
        "6 My charges",
        "7 Help",
        "8 More",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_dialling_on_jumps_to_the_packages(language):
    phone = Phone("1", language=language)
    assert phone.did == Phone(language=language).type("1").did
    assert phone.did.text.startswith(titled("packages", language))
    assert phone.lines[-1] == {"vi": "9 lui", "en": "9 back"}[language]


@pytest.mark.parametrize(("path", "leaf"), LEAVES, ids=[path for path, _ in LEAVES])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_leaf_is_reached_by_dialling_on_and_by_typing(path, leaf, language):
    dialled = Phone(*path.split(), language=language)
    typed = Phone(language=language).type(*path.split())
    assert dialled.runs == typed.runs == leaf
    assert dialled.did == typed.did


def test_everything_that_a_text_can_do_the_menu_can_do():
    assert {route for _, (route, _) in LEAVES} == {*TEXTS, FORWARD_ROUTE, GUIDE_ROUTE}


def test_a_wrong_jump_shows_its_screen_with_a_hint_and_drops_the_rest():
    phone = Phone("1", "7", "4", "1")
    assert phone.lines[:2] == [HINT["vi"], titled("packages")]
    assert phone.place.screen == "packages"


def test_jumps_behind_a_leaf_are_dropped():
    assert Phone("6", "1", "2").runs == ("charges.show", ())


def test_a_question_for_numbers_takes_all_jumps_that_are_left():
    both = ("84903123456", "84912345678")
    assert Phone("2", "2", "0903123456", "0912345678").runs == ("list.white_add", both)


def test_a_question_for_a_text_takes_all_jumps_that_are_left():
    phone = Phone("5", "2", "0903123456", "5", "6 gio", "nhe")
    assert phone.runs == (FORWARD_ROUTE, ("84903123456", "5*6 gio*nhe"))


# -- what costs money says so


@pytest.mark.rule("PKG-1", "PKG-5")
@pytest.mark.parametrize(
    ("key", "price", "renewed"),
    [
        (
            "2",
            "1.000d",
            {"vi": "tu dong gia han moi ngay", "en": "renewed automatically every day"},
        ),
        (
            "3",
            "5.000d",
            {"vi": "tu dong gia han moi tuan", "en": "renewed automatically every week"},
        ),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_price_and_renewal_are_named_before_a_package_is_registered(key, price, renewed, language):
    phone = Phone("1", key, language=language)
    assert price in phone.did.text
    assert renewed[language] in phone.did.text
    assert not phone.runs


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_whitelist_says_what_it_costs_before_a_number_is_added(language):
    text = Phone("2", "2", language=language).did.text
    assert "1.500d" in text
    assert "250d" in text


@pytest.mark.parametrize("path", [("1", "2"), ("1", "3"), ("1", "4"), ("2", "4"), ("3", "4")])
def test_what_can_not_be_undone_by_one_key_is_asked_first(path):
    assert isinstance(Phone(*path).did, Show)
    assert Phone(*path).type("2").place.hinted


# -- wrong inputs


@pytest.mark.parametrize("typed", ["", " ", "0", "9", "10", "x", "1 2", "*", "gui 1566"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wrong_choice_shows_the_screen_again_below_a_hint(typed, language):
    phone = Phone(language=language)
    before = phone.did.text
    assert phone.type(typed).did.text == f"{HINT[language]}\n{before}"
    assert not phone.did.ends


@pytest.mark.parametrize("typed", ["1", " 1 ", "1#", "*1#", "1.", "１"])
def test_a_key_is_known_whatever_is_around_it(typed):
    assert Phone().type(typed).place.screen == "packages"


def test_a_hint_is_gone_with_the_next_screen():
    assert Phone().type("x", "1").did == Phone("1").did


@pytest.mark.parametrize(
    ("path", "typed", "hint"),
    [
        ("2 2", "alo", WRONG_NUMBER),
        ("2 2", "0903", WRONG_NUMBER),
        ("2 2", "", WRONG_NUMBER),
        ("2 3", "  ", WRONG_NUMBER),
        ("5 1", "0903123456 0912345678", WRONG_NUMBER),
        ("5 2", "alo", WRONG_NUMBER),
        ("5 2 0903123456", "", "Chua co noi dung, moi nhap lai."),
        ("8 1 1", "12 34", "Ma chua dung, moi nhap lai."),
        ("8 2 1", "", "Ma chua dung, moi nhap lai."),
    ],
)
def test_a_wrong_answer_is_asked_for_again(path, typed, hint):
    phone = Phone(*path.split())
    asked = phone.did.text
    assert phone.type(typed).lines[0] == hint
    assert phone.did.text == f"{hint}\n{asked}"
    assert not phone.did.ends


def test_a_wrong_answer_loses_nothing_that_was_typed_before():
    phone = Phone("5", "2", "0903123456").type("", "  ", "alo")
    assert phone.runs == (FORWARD_ROUTE, ("84903123456", "alo"))


@pytest.mark.rule("KW-5")
def test_one_number_of_several_that_is_none_goes_on_to_get_its_verdict():
    assert Phone("3", "2").type("0903123456, 12345").runs == (
        "list.black_add",
        ("84903123456", "!12345"),
    )


@pytest.mark.rule("NUM-1", "KW-1", "KW-5")
@pytest.mark.parametrize(
    "typed",
    [
        "0903-123-456,0912 345 678",
        "0903123456*0912345678",
        "0903123456*0912345678#",
        "+84903123456; 84912345678",
        '"0903123456  0912345678" gui 1566',
    ],
)
def test_numbers_are_typed_as_in_a_text(typed):
    both = ("84903123456", "84912345678")
    assert Phone("3", "2").type(typed).runs == ("list.black_add", both)


def test_a_text_goes_as_it_was_typed():
    text = " Đón con *5h* nhé, gửi 1566 "
    assert Phone("5", "2", "0903123456").type(text).runs[1] == ("84903123456", text)


# -- going back


@pytest.mark.parametrize("path", [path for path in PATHS if len(path) > 1], ids=" ".join)
def test_9_goes_back_to_the_screen_that_led_here(path):
    phone = Phone()
    screens = [phone.did, *[phone.type(typed).did for typed in path[:-1]]]
    for screen in reversed(screens[:-1]):
        assert phone.type("9").did == screen


def test_going_back_from_the_second_question_asks_the_first_again():
    phone = Phone("5", "2", "0903123456").type("9")
    assert phone.did == Phone("5", "2").did
    assert phone.type("0912345678", "alo").runs == (FORWARD_ROUTE, ("84912345678", "alo"))


def test_a_text_that_only_begins_with_9_is_a_text():
    assert Phone("5", "2", "0903123456").type("9 gio").runs[1] == ("84903123456", "9 gio")
    assert Phone("5", "2", "0903123456").type("9 gui 1566").runs[1][1] == "9 gui 1566"


# -- results


def leaf(language="vi", **more):
    return Phone("7", language=language, **more)


def test_a_short_result_ends_the_dialogue():
    phone = leaf().read("Xong. LH 9090.")
    assert phone.did == Show("Xong. LH 9090.", Place("main", body="Xong. LH 9090."), ends=True)


def test_a_long_result_is_read_page_by_page_and_its_last_page_ends_the_dialogue():
    words = [f"tu{number:03d}" for number in range(90)]
    phone = leaf().read(" ".join(words))
    phone.type("0", "9", "0", "0", "0")
    first, second, again, second_again, third, fourth = phone.seen[-6:]
    assert first.endswith("tu028\n0 tiep")
    assert second.startswith("tu029")
    assert second.endswith("\n0 tiep\n9 lui")
    assert (again, second_again) == (first, second)
    assert phone.did.ends
    read = " ".join(page.split("\n")[0] for page in (first, second, third, fourth))
    assert read.split() == words


@pytest.mark.parametrize("typed", ["9", "1", "", "x"])
def test_a_wrong_input_on_a_result_makes_its_page_shorter_and_loses_none_of_it(typed):
    words = [f"tu{number:03d}" for number in range(60)]
    phone = leaf().read(" ".join(words)).type(typed)
    hint, shorter, ways = phone.lines
    assert (hint, ways) == (HINT["vi"], "0 tiep")
    assert septets(phone.did.text) <= 182
    phone.type("0")
    pages = [shorter, phone.lines[0]]
    while not phone.did.ends:
        pages.append(phone.type("0").lines[0])
    assert " ".join(pages).split() == words


def test_what_was_done_is_not_gone_back_from():
    phone = Phone("1", "1").read("tu " * 100).type("9")
    assert phone.lines[0] == HINT["vi"]
    assert phone.place.body


def test_what_was_typed_is_forgotten_once_it_was_used():
    phone = Phone("5", "2", "0903123456").type("alo").read("Da gui.")
    assert phone.place.inputs == ()


def test_a_result_in_foreign_letters_is_made_fit_for_the_phone():
    phone = leaf().read("Từ chối 漢 “số” này")
    assert phone.did.text == 'Tu choi ? "so" nay'


def test_a_result_of_nothing_ends_the_dialogue():
    assert leaf(septets_max=80).read("  ").did == Show("", Place("main"), ends=True)


# -- small screens


def test_a_menu_on_a_small_screen_is_turned_and_its_keys_stay():
    phone = Phone(septets_max=80)
    assert phone.lines[-1] == "0 tiep"
    while "8 Muc khac" not in phone.lines:
        phone.type("0")
    assert phone.lines[-1] == "9 lui"
    assert phone.type("8").place.screen == "more"


def test_a_choice_on_another_page_can_be_typed():
    assert Phone(septets_max=80).type("8").place.screen == "more"


def test_choices_that_a_hint_pushed_off_are_on_the_next_page():
    phone = Phone(septets_max=110)
    plain = len(phone.lines)
    hinted = phone.type("x").lines
    assert len(hinted) <= plain
    shown = [line for line in hinted if line[0] in "12345678"]
    assert phone.type("0").lines[0][0] == str(len(shown) + 1)


@pytest.mark.parametrize(("septets_max", "hinted"), [(72, True), (71, False)])
def test_a_hint_is_left_out_where_it_would_take_more_than_a_third(septets_max, hinted):
    phone = Phone("1", septets_max=septets_max).type("x")
    assert (phone.lines[0] == HINT["vi"]) is hinted
    assert not phone.did.ends


# -- going on after a dialogue was cut off


def test_a_dialogue_that_was_cut_off_can_be_gone_on_with():
    phone = Phone("5", "2", "0903123456")
    asked = phone.did
    assert phone.called_again().lines == [
        "Phien truoc chua xong.",
        "1 tiep tuc",
        "2 bat dau lai",
    ]
    assert phone.type("1").did == asked
    assert phone.type("alo").runs == (FORWARD_ROUTE, ("84903123456", "alo"))


def test_a_hint_is_gone_when_a_dialogue_is_gone_on_with():
    phone = Phone("5", "2", "0903123456")
    asked = phone.did
    assert phone.type("").called_again().type("1").did == asked


def test_a_dialogue_that_was_cut_off_can_be_begun_again():
    assert Phone("5", "2").called_again().type("2").did == Phone().did


@pytest.mark.parametrize("typed", ["", "0", "3", "9", "0903123456"])
def test_the_offer_to_go_on_is_made_again_until_it_is_understood(typed):
    phone = Phone("5", "2", "0903123456").called_again()
    offered = phone.did.text
    assert phone.type(typed).did.text == f"{HINT['vi']}\n{offered}"
    assert phone.type("1").place == Phone("5", "2", "0903123456").place


def test_an_offer_that_was_cut_off_itself_offers_the_same():
    phone = Phone("1").called_again()
    assert phone.called_again().type("1").place == Place("packages")


def test_a_long_result_is_gone_on_with_where_it_was_cut_off():
    phone = leaf().read("tu " * 200).type("0")
    page = phone.did
    assert phone.called_again().type("1").did == page


def test_only_what_is_more_than_the_first_screen_is_worth_going_on_with():
    menu = shipped_menu()
    assert not menu.worth_resuming(Phone().place)
    assert not menu.worth_resuming(Phone().type("x").place)
    assert not menu.worth_resuming(Phone().called_again().place)
    assert not menu.worth_resuming(Place("gone"))
    assert menu.worth_resuming(Phone("1").place)
    assert menu.worth_resuming(Phone("1").called_again().place)
    assert menu.worth_resuming(leaf().read("tu " * 200).place)


# -- a menu that was changed in mid-dialogue


@pytest.mark.parametrize(
    "place",
    [Place("gone"), Place("ask_text_what"), Place("packages", inputs=("84903123456",))],
    ids=["no such screen", "one answer too few", "one answer too many"],
)
def test_a_place_that_a_changed_menu_no_longer_has_is_the_first_screen(place):
    phone = Phone()
    assert shipped_menu().step(place, "1", phone.speaker) == phone.did
    left = Place("main", resume=place)
    assert shipped_menu().step(left, "1", phone.speaker) == phone.did


def test_a_page_that_a_changed_menu_no_longer_has_is_the_first_page():
    did = shipped_menu().step(Place("main", page=20), "x", speaker())
    assert did.text == f"{HINT['vi']}\n{Phone().did.text}"


def test_a_language_that_the_menu_lacks_is_vietnamese():
    assert Phone(language="fr").did == Phone().did
    assert Phone(language="fr").type("x").lines[0] == HINT["vi"]


# -- whatever is typed


def crawl(language, septets_max):
    """All that keys and answers lead to, from the first screen."""
    answers = {None: [], Ask.TEXT: ["alo"], Ask.CODE: ["0042"]}
    menu, who = shipped_menu(), speaker(language, septets_max)
    waiting, known = [menu.begin((), who)], set()
    while waiting:
        did = waiting.pop()
        yield did
        if isinstance(did, Show) and not did.ends and did.place not in known:
            known.add(did.place)
            screen = menu.screens[did.place.screen]
            inputs = [*"0123456789", "", "x", *answers.get(screen.ask, ["0903123456"])]
            waiting += [menu.step(did.place, typed, who) for typed in inputs]
        elif isinstance(did, Run):
            waiting.append(menu.result(did.place, "ket qua " * 60, who))


@pytest.mark.parametrize("septets_max", [SCREEN_SEPTETS_MIN, 100, 140, 182])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_crawl_through_everything_fits_and_reaches_everything(language, septets_max):
    screens, routes = set(), set()
    for did in crawl(language, septets_max):
        if isinstance(did, Run):
            routes.add(did.route)
            continue
        screens.add(did.place.screen)
        assert septets(did.text) <= septets_max
        assert did.text
        assert not did.ends or did.place.body, "a dialogue ended without a leaf"
    assert screens == set(shipped_menu().screens)
    assert routes == set(ROUTES)


@given(
    jumps=st.lists(TYPED, max_size=5),
    typed=st.lists(TYPED, max_size=12),
    language=LANGUAGE,
    room=ROOM,
)
def test_no_input_breaks_a_dialogue_or_ends_it_before_a_leaf(jumps, typed, language, room):
    phone = Phone(*jumps, language=language, septets_max=room)
    for one in typed:
        if phone.runs:
            break
        phone.type(one)
    for text in phone.seen:
        assert is_gsm7(text)
        assert 0 < septets(text) <= room
    if phone.runs:
        route, args = phone.runs
        takes = ROUTES[route].args
        assert bool(args) or takes in {Args.NONE, Args.CODE_OR_NONE}
        assert not args or takes is not Args.NONE
        if takes in {Args.NUMBERS, Args.NUMBERS_ALL_OR_NONE} and args != ("ALL",):
            assert any(arg.isdigit() for arg in args)
    else:
        assert not phone.did.ends


@given(
    place=st.sampled_from(PATHS), language=LANGUAGE, room=ROOM, typed=st.lists(TYPED, max_size=8)
)
def test_a_place_can_be_kept_as_json_at_any_moment(place, language, room, typed):
    phone = Phone(*place[:-1], language=language, septets_max=room)
    for one in typed:
        if phone.runs:
            break
        kept = msgspec.json.decode(msgspec.json.encode(phone.place), type=Place)
        assert kept == phone.place
        assert phone.menu.step(kept, one, phone.speaker) == phone.type(one).did


WORDS = st.lists(
    st.text("ab0.,{}[]~€", min_size=1, max_size=14).filter(lambda word: word != "0"), max_size=80
)


@given(words=WORDS, room=ROOM, wrong=st.sets(st.integers(0, 30)), language=LANGUAGE)
def test_a_result_read_page_by_page_is_the_result_whatever_is_mistyped(
    words, room, wrong, language
):
    phone = leaf(language, septets_max=room).read(" ".join(words))
    read, turned = [], 0
    while True:
        if turned in wrong and not phone.did.ends:
            phone.type("x")
        assert septets(phone.did.text) <= room
        lines = phone.lines if phone.did.ends else phone.lines[: -1 if turned == 0 else -2]
        if lines and lines[0] == HINT[language]:
            lines = lines[1:]
        read += lines
        if phone.did.ends:
            break
        phone.type("0")
        turned += 1
    assert " ".join(read).split() == words
