"""Three sides of a day that were written apart must agree before its books are closed."""

import pytest

from telcod.billing.day import Cashier, Cleared, DayBooks, Missing, Transit, decide_balance, told

pytestmark = pytest.mark.rule("PAY-12")

GOOD = DayBooks(
    cashiers={"VCB01": Cashier(70, 5), "ACB01": Cashier(30)},
    transits={1: Transit(10, 60, 0, 55, 15), 2: Transit(0, 40, 5, 30, 5)},
    clearings={1: Cleared(55), 2: Cleared(30)},
    opening_vnd=10,
)


def codes(books):
    return [one.code for one in decide_balance(books)]


def test_books_that_agree_lack_nothing():
    assert decide_balance(GOOD) == []
    assert (GOOD.collected_vnd, GOOD.cleared_vnd, GOOD.transit_vnd) == (95, 85, 20)


def test_a_day_without_anything_agrees():
    assert decide_balance(DayBooks({}, {}, {}, None)) == []


def test_what_is_cancelled_after_clearing_goes_from_both_sides():
    books = GOOD._replace(
        cashiers={"VCB01": Cashier(70, 5 + 8), "ACB01": Cashier(30)},
        clearings={1: Cleared(55, 8), 2: Cleared(30)},
    )
    assert decide_balance(books) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"cashiers": {"VCB01": Cashier(71, 5), "ACB01": Cashier(30)}}, "collections"),
        ({"cashiers": {"VCB01": Cashier(70, 6), "ACB01": Cashier(30)}}, "given_back"),
        ({"clearings": {1: Cleared(54), 2: Cleared(30)}}, "clearing"),
        ({"clearings": {1: Cleared(30), 2: Cleared(55)}}, "clearing"),
        ({"clearings": {1: Cleared(55), 2: Cleared(30), 3: Cleared(1)}}, "clearing"),
        ({"clearings": {1: Cleared(55)}}, "clearing"),
        ({"opening_vnd": 9}, "transit"),
        ({"transits": {1: Transit(10, 60, 0, 55, 16), 2: GOOD.transits[2]}}, "balance"),
    ],
)
def test_one_dong_that_is_nowhere_keeps_the_day_open(changed, code):
    assert code in codes(GOOD._replace(**changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"cashiers": {"VCB01": Cashier(1_071, 5), "ACB01": Cashier(30)}},
            "by cashier the gateway collected 1,101 dong, by centre 100 dong",
        ),
        (
            {"cashiers": {"VCB01": Cashier(70, 6), "ACB01": Cashier(30)}},
            "by cashier 6 dong were given back, by centre 5 dong",
        ),
        (
            {"clearings": {1: Cleared(54), 2: Cleared(30)}},
            "centre 1 cleared 54 dong by its log, 55 dong by its account",
        ),
        (
            {"opening_vnd": 9},
            "9 dong were in transit at the last close, 10 dong at the beginning of the day",
        ),
        (
            {"transits": {1: Transit(10, 60, 0, 55, 16), 2: GOOD.transits[2]}},
            "collections and clearing differ by 10 dong, transit explains 11 dong",
        ),
    ],
)
def test_a_difference_is_told_with_both_sums(changed, said):
    assert said in [one.detail for one in decide_balance(GOOD._replace(**changed))]


def test_what_was_given_back_counts_on_both_sides_of_the_balance():
    books = GOOD._replace(
        cashiers={"VCB01": Cashier(70, 5), "ACB01": Cashier(30, 4)},
        clearings={1: Cleared(55, 4), 2: Cleared(30)},
    )
    assert decide_balance(books) == []
    assert (books.collected_vnd, books.cleared_vnd) == (91, 81)


def test_without_an_earlier_close_the_opening_is_what_it_is():
    assert decide_balance(GOOD._replace(opening_vnd=None)) == []


def test_programs_get_the_code_and_people_the_sentence():
    found = told([Missing("file", "the file is missing")])
    assert found == [{"code": "file", "detail": "the file is missing"}]
