"""A menu's file is refused as a whole, with everything that is wrong with it named at once."""

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import handlers
from telcod.dispatch import FORWARD_ROUTE, Args, Route
from telcod.text import is_gsm7, septets
from tests.ussd.menus import (
    GUIDE_ROUTE,
    LANGUAGES,
    ROUTES,
    TEXTS,
    shipped_menu,
    shipped_table,
)
from ussd.menu import Ask, Choice, Place, Show, Speaker
from ussd.menu_file import PLACES, MenuError, build
from ussd.screens import SCREEN_SEPTETS, Text

pytestmark = pytest.mark.rule("USSD-3", "CFG-2")


def handler(request, tx):
    raise AssertionError("a file is checked without running anything")


SHOW = Route("show", handler, Args.NONE, "usage.show")
ADD = Route("add", handler, Args.NUMBERS, "usage.add")
REMOVE = Route("remove", handler, Args.NUMBERS_ALL_OR_NONE, "usage.remove")
YES = Route("yes", handler, Args.CODE_OR_NONE, "usage.yes")
LANGUAGE = Route("language", handler, Args.LANGUAGE, "usage.language")
SECRET = Route("secret", handler, Args.PASSWORD, "usage.secret")
STAFF = Route("staff", handler)
FORWARD = Route(FORWARD_ROUTE, handler)


def routes(*rows):
    return {row.name: row for row in rows}


WORDS = {
    "onward": "tiep",
    "back": "lui",
    "unfinished": "Chua xong.",
    "go_on": "tiep tuc",
    "restart": "bat dau lai",
    "wrong_choice": "Chua dung.",
    "wrong_number": "So chua dung.",
    "wrong_code": "Ma chua dung.",
    "wrong_text": "Chua co gi.",
}


def said(text, **more):
    """The same words in every language."""
    return dict.fromkeys(LANGUAGES, text) | more


def file(first=None, **screens):
    """A file with one choice, or with these screens."""
    first = first or said("Menu", **{"1": said("Xem", run="show")})
    return {
        "service_code": "155",
        "first": "first",
        "words": {language: dict(WORDS) for language in LANGUAGES},
        "screens": {"first": first, **screens},
    }


def asking(ask, run, **more):
    """A file whose only choice leads to a question."""
    question = said("So nao?", ask=ask, run=run, **more)
    return file(said("Menu", **{"1": said("Hoi", to="question")}), question=question)


def problems_of(table, *rows):
    with pytest.raises(MenuError) as caught:
        build(table, routes(*(rows or (SHOW,))))
    return [str(problem) for problem in caught.value.problems]


def changed(table, path, value):
    """The file with one value set, or taken out when it is None."""
    table = copy.deepcopy(table)
    at = table
    *folders, last = path.split("/")
    for folder in folders:
        at = at[folder]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return table


# -- what is right


def test_the_smallest_menu_there_is():
    menu = build(file(), routes(SHOW))
    assert (menu.service_code, menu.short_code, menu.first) == ("155", "155", "first")
    label = dict.fromkeys(LANGUAGES, Text.cut("Xem"))
    assert menu.screens["first"].choices == {"1": Choice(label, route="show")}


def test_a_menu_may_stand_for_another_short_code():
    assert build(file() | {"short_code": "1566"}, routes(SHOW)).short_code == "1566"


def test_choices_stand_in_the_order_of_their_keys():
    first = said("Menu", **{key: said("Xem", run="show") for key in "83152"})
    assert list(build(file(first), routes(SHOW)).screens["first"].choices) == [*"12358"]


def test_screens_know_what_led_to_them_and_what_was_answered_before():
    table = file(
        said("Menu", **{"1": said("Hoi", to="whom"), "2": said("Xem", run="show")}),
        whom=said("Ai?", ask="number", then="what"),
        what=said("Gi?", ask="text", run=FORWARD_ROUTE),
    )
    screens = build(table, routes(SHOW, FORWARD)).screens
    assert [(s.parent, s.collected) for s in screens.values()] == [
        ("", 0),
        ("first", 0),
        ("whom", 1),
    ]
    assert [screen.route for screen in screens.values()] == ["", FORWARD_ROUTE, FORWARD_ROUTE]


def test_screens_may_lead_in_circles():
    table = file(
        said("Menu", **{"1": said("Sau", to="second"), "2": said("Xem", run="show")}),
        second=said("Sau", **{"1": said("Dau", to="first"), "2": said("Sau", to="second")}),
    )
    assert build(table, routes(SHOW)).screens["first"].parent == ""


@pytest.mark.parametrize(
    ("row", "args", "run_with"),
    [
        (REMOVE, ["ALL"], ("ALL",)),
        (REMOVE, [], ()),
        (LANGUAGE, ["EN"], ("EN",)),
        (YES, [], ()),
        (YES, ["0042"], ("0042",)),
        (ADD, ["0903123456"], ("84903123456",)),
    ],
)
def test_fixed_arguments_are_those_that_a_text_would_give(row, args, run_with):
    table = file(said("Menu", **{"1": said("Lam", run=row.name, args=args)}))
    assert build(table, routes(row)).screens["first"].choices["1"].args == run_with


@pytest.mark.parametrize(
    ("ask", "row"), [("numbers", ADD), ("number", ADD), ("numbers", REMOVE), ("code", YES)]
)
def test_a_question_fits_its_route(ask, row):
    screen = build(asking(ask, row.name), routes(row)).screens["question"]
    assert (screen.ask, screen.route) == (Ask(ask), row.name)


# -- what is wrong


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("service_code", None, 'service_code: must be 1 to 6 digits in quotes, as "1566"'),
        ("service_code", 155, 'service_code: must be 1 to 6 digits in quotes, as "1566"'),
        ("service_code", "*155#", 'service_code: must be 1 to 6 digits in quotes, as "1566"'),
        ("short_code", "1234567", 'short_code: must be 1 to 6 digits in quotes, as "1566"'),
        ("first", None, "first: must name a screen"),
        ("first", "nowhere", "first: must name a screen"),
        ("colour", "red", "colour: is not known here"),
        ("words/fr", dict(WORDS), "words.fr: is not known here"),
        ("words/vi/hello", "xin chao", "words.vi.hello: is not known here"),
        ("words/en/back", None, "words.en.back: is missing or empty"),
        ("words/vi/back", "x" * 13, "words.vi.back: takes 13 septets, 12 at most"),
        ("words/vi/go_on", "€" * 13, "words.vi.go_on: takes 26 septets, 24 at most"),
        ("words/vi/wrong_code", "x" * 51, "words.vi.wrong_code: takes 51 septets, 50 at most"),
        ("words/vi/unfinished", "{day}", "words.vi.unfinished: can't have places: it is shown on"),
        ("words/en", "words", "words.en: must be a table"),
        ("screens/first", "Menu", "screens.first: must be a table"),
        ("screens/first/colour", "red", "screens.first.colour: is not known here"),
        ("screens/first/en", None, "screens.first.en: is missing or empty"),
        ("screens/first/vi", "  ", "screens.first.vi: must be a text"),
        ("screens/first/vi", 5, "screens.first.vi: must be a text"),
        ("screens/first/vi", "Chọn", "screens.first.vi: not in the GSM 7 bit alphabet: 'ọ'"),
        ("screens/first/vi", "{Day}", "screens.first.vi: has a brace that is no place such as"),
        ("screens/first/vi", "Chon}", "screens.first.vi: has a brace that is no place such as"),
        ("screens/first/vi", "{year}", "screens.first.vi: there is no place 'year'; there are day"),
        ("screens/first/vi", "{day}", "screens.first.en: lacks the place 'day' that another"),
        ("screens/first/1/vi", "{day}", "screens.first.1.en: lacks the place 'day' that another"),
        ("screens/first/1", None, "screens.first: neither asks nor offers a choice"),
        ("screens/first/run", "show", "screens.first: `then` and `run` belong to a screen that"),
        ("screens/first/then", "first", "screens.first: `then` and `run` belong to a screen that"),
        ("screens/first/ask", "number", "screens.first: asks and offers choices: it can do one of"),
        ("screens/first/ask", "word", "screens.first.ask: must be one of numbers, number, code,"),
        (
            "screens/first/9",
            said("Lui", to="first"),
            "screens.first.9: a key must be 1 to 8; 0 and",
        ),
        (
            "screens/first/0",
            said("Lui", to="first"),
            "screens.first.0: a key must be 1 to 8; 0 and",
        ),
        ("screens/first/12", said("Lui", to="first"), "screens.first.12: a key must be 1 to 8; 0"),
        ("screens/first/2", said("Lui"), "screens.first.2: must lead somewhere: give either `to`"),
        ("screens/first/1/to", "first", "screens.first.1: must lead somewhere: give either `to`"),
        ("screens/first/1/run", 5, "screens.first.1.run: must be a name in quotes"),
        ("screens/first/1/ask", "code", "screens.first.1.ask: is not known here"),
        ("screens/first/1/args", "ALL", "screens.first.1.args: must be a list of texts"),
        ("screens/first/1/args", ["ALL"], "screens.first.1: 'show' can't take ['ALL']"),
        ("screens/first/1/run", "nothing", "screens.first.1: there is no 'nothing' to run"),
        (
            "screens/first/2",
            said("Lui", to="nowhere"),
            "screens.first.2.to: there is no screen 'nowhere'",
        ),
        (
            "screens/first/2",
            said("Lui", to="first", args=["ALL"]),
            "screens.first.2.args: belong to a choice that runs something",
        ),
        (
            "screens/second",
            said("Menu", **{"1": said("Xem", run="show")}),
            "screens.second: no screen leads here",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(path, value, problem):
    found = problems_of(changed(file(), path, value))
    assert [line for line in found if line.startswith(problem)], found


@pytest.mark.parametrize("row", [ADD, LANGUAGE, STAFF, FORWARD], ids=lambda row: row.name)
def test_a_choice_must_give_what_its_route_takes(row):
    table = file(said("Menu", **{"1": said("Lam", run=row.name)}))
    assert problems_of(table, row) == [
        f"screens.first.1: '{row.name}' takes arguments, and none are given"
    ]


@pytest.mark.parametrize(
    ("row", "args"),
    [(LANGUAGE, ["FR"]), (ADD, ["alo"]), (YES, ["1", "2"]), (STAFF, ["0903123456"])],
    ids=lambda value: getattr(value, "name", None),
)
def test_fixed_arguments_must_fit_their_route(row, args):
    table = file(said("Menu", **{"1": said("Lam", run=row.name, args=args)}))
    assert problems_of(table, row)[0] == f"screens.first.1: '{row.name}' can't take {args}"


@pytest.mark.parametrize(
    ("ask", "row"),
    [
        *[("code", ADD), ("text", ADD), ("numbers", YES), ("numbers", SHOW), ("code", LANGUAGE)],
        *[("text", STAFF), ("number", STAFF), ("text", FORWARD), ("number", FORWARD)],
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_question_must_ask_what_its_route_takes(ask, row):
    problem = f"screens.question: '{row.name}' can't take what is asked for: {ask}"
    assert problems_of(asking(ask, row.name), row) == [problem]


def test_a_menu_never_sees_a_password():
    problem = "takes a password, which a menu must not see"
    assert problems_of(asking("text", "secret"), SECRET) == [
        f"screens.question: 'secret' {problem}"
    ]
    table = file(said("Menu", **{"1": said("Lam", run="secret", args=["AB12"])}))
    assert problems_of(table, SECRET)[0] == f"screens.first.1: 'secret' {problem}"


def test_a_question_must_lead_to_one_thing():
    table = asking("number", "add", then="question")
    assert "screens.question: asks: give either `run` or `then`" in problems_of(table, ADD)
    table = asking("number", None)
    assert "screens.question: asks: give either `run` or `then`" in problems_of(table, ADD)


def test_questions_may_not_ask_in_a_circle():
    table = changed(asking("number", None), "screens/question/then", "question")
    assert "screens.question.then: asks in a circle" in problems_of(table, ADD)


def test_an_answer_must_be_used():
    table = changed(asking("number", None), "screens/question/then", "first")
    problem = "screens.question.then: 'first' must ask: an answer is waiting to be used"
    assert problem in problems_of(table, ADD)


def test_a_second_question_can_not_be_come_to_without_the_first():
    table = file(
        said("Menu", **{"1": said("Ai", to="whom"), "2": said("Gi", to="what")}),
        whom=said("Ai?", ask="number", then="what"),
        what=said("Gi?", ask="text", run=FORWARD_ROUTE),
    )
    problem = "screens.whom.then: 'what' is led to from elsewhere with 0 answers"
    assert problem in problems_of(table, FORWARD)


def test_what_a_text_can_do_the_menu_must_do():
    assert problems_of(file(), SHOW, ADD, YES, FORWARD) == [
        "screens: nothing runs 'add': the menu cannot do what a text can",
        "screens: nothing runs 'yes': the menu cannot do what a text can",
    ]


def test_a_question_fits_on_one_page_below_its_hint():
    room = SCREEN_SEPTETS - len("So chua dung.\n")
    table = changed(asking("numbers", "add"), "screens/question/vi", "x" * room)
    assert "question" in build(table, routes(ADD)).screens
    table = changed(asking("numbers", "add"), "screens/question/vi", "x" * (room + 1))
    assert problems_of(table, ADD) == [
        "screens.question.vi: may take 183 septets with a hint; a page holds 182"
    ]


def test_a_title_fits_beside_any_choice():
    room = SCREEN_SEPTETS - len("Chua dung.\n\n1 Xem\n0 tiep")
    table = changed(file(), "screens/first/en", "x" * room)
    assert "first" in build(table, routes(SHOW)).screens
    assert problems_of(changed(file(), "screens/first/en", "x" * (room + 1))) == [
        "screens.first.en: may take 183 septets with a hint, a choice, 0 and 9; a page holds 182"
    ]


def test_the_widest_price_must_fit():
    title = "{day}" + "x" * 150
    table = file(said(title, **{"1": said("Xem", run="show")}))
    assert problems_of(table)[0].startswith("screens.first.vi: may take 188 septets")


def test_all_mistakes_are_named_in_one_go():
    table = file(
        said("Chọn", colour="red", **{"9": said("Lui", to="nowhere"), "1": {"run": "nothing"}}),
        lost=said("So?", ask="word"),
    )
    table |= {"service_code": "x", "first": "first", "more": 1}
    table["words"]["en"]["back"] = ""
    found = problems_of(table, SHOW)
    keys = {line.split(": ")[0] for line in found}
    assert keys == {
        "more",
        "service_code",
        "words.en.back",
        "screens.first.colour",
        "screens.first.vi",
        "screens.first.en",
        "screens.first.9",
        "screens.first.9.to",
        "screens.first.1",
        "screens.first.1.vi",
        "screens.first.1.en",
        "screens.lost.ask",
        "screens.lost",
        "screens",
    }


def test_the_error_says_all_of_it():
    with pytest.raises(MenuError) as caught:
        build({}, routes(SHOW))
    assert str(caught.value).split("\n") == [str(problem) for problem in caught.value.problems]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "first", "show", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["1", "9", "vi", "ask", "to", "run", "then", "args", "first", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
PATHS = [
    *["service_code", "first", "words", "words/vi", "words/vi/back", "screens", "screens/first"],
    *["screens/first/vi", "screens/first/ask", "screens/first/then", "screens/first/1"],
    *["screens/first/1/vi", "screens/first/1/to", "screens/first/1/run", "screens/first/1/args"],
]


@given(path=st.sampled_from(PATHS), junk=JUNK.filter(lambda value: value is not None))
def test_no_file_breaks_the_reader(path, junk):
    table = changed(file(), path, junk)
    try:
        menu = build(table, routes(SHOW))
    except MenuError as error:
        assert error.problems  # noqa: PT017  # Either is right; no other error is.
    else:
        who = Speaker("vi", {}, lambda route, words: None)
        assert isinstance(menu.begin((), who), Show)


# -- what is shipped


def test_the_shipped_menu_has_no_mistake_and_is_that_of_1566():
    menu = shipped_menu()
    assert (menu.service_code, menu.short_code) == ("1566", "1566")
    assert TEXTS.keys() == {row.name for row in handlers.BY_SHORT_CODE["1566"]}


@pytest.mark.parametrize("name", [*TEXTS, FORWARD_ROUTE, GUIDE_ROUTE])
def test_the_shipped_menu_runs_nothing_that_is_not_there(name):
    rest = {key: row for key, row in ROUTES.items() if key != name}
    with pytest.raises(MenuError) as caught:
        build(shipped_table(), rest)
    assert f"there is no {name!r} to run" in str(caught.value)


def test_the_shipped_menu_explains_its_own_file():
    # What the comment on top of the file says, the reader does.
    screens = shipped_table()["screens"]
    assert {screen["ask"] for screen in screens.values() if "ask" in screen} == set(Ask)


@pytest.mark.parametrize("language", LANGUAGES)
def test_shipped_screens_stay_one_page_even_with_a_hint(language):
    prices = {"day": "10.000d", "week": "50.000d", "part": "1.000d", "minute": "10.000d"}
    who = Speaker(language, prices, lambda route, words: None)
    for name, screen in shipped_menu().screens.items():
        place = Place(name, inputs=("84903123456",) * screen.collected)
        did = shipped_menu().step(place, "", who)
        assert not did.text.endswith(tuple("0 " + w.onward for w in shipped_menu().words.values()))
        assert f"0 {shipped_menu().words[language].onward}" not in did.text.split("\n"), name
        assert septets(did.text) <= SCREEN_SEPTETS


def test_shipped_words_are_polite_and_plain():
    for name, screen in shipped_table()["screens"].items():
        assert is_gsm7(screen["vi"])
        assert not re.search(r"\bban\b|\bbạn\b", screen["vi"].lower()), name


def test_places_have_room_for_the_dearest_price():
    assert all(width >= len("1.000.000.000d") for width in PLACES.values())
