"""What was dialled is understood in every form that people and switches give it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.dialled import Asked, Direct, Guidance, read_dialled
from telcod.msisdn import OLD_PREFIXES, Msisdn

B = Msisdn(84903000002)


def read(dialled):
    return read_dialled(dialled, OLD_PREFIXES)


@pytest.mark.rule("PFM-3")
@pytest.mark.parametrize("dialled", ["1566", " 1566 ", "15 66", "1566#", "1566 ", "(1566)"])
def test_the_short_code_alone_is_guidance(dialled):
    assert read(dialled) == Guidance()


@pytest.mark.rule("PFM-10", "NUM-1")
@pytest.mark.parametrize(
    "number",
    [
        "0903000002",
        "84903000002",
        "+84903000002",
        "0084903000002",
        "903000002",
        "0903.000.002",
        "0903 000 002",
        "0903-000-002",
        "(0903) 000002",
        "0903000002#",
    ],
)
def test_the_short_code_and_a_number_asks_its_owner_whatever_its_form(number):
    assert read("1566" + number) == Asked(B)
    assert read("1566 " + number) == Asked(B)
    assert read(number) == Direct(B)


@pytest.mark.rule("NUM-2", "PFM-10")
def test_old_numbers_are_converted():
    assert read("156601203000002") == Asked(Msisdn(84703000002))
    assert read("01203000002") == Direct(Msisdn(84703000002))


@pytest.mark.rule("PFM-10")
@pytest.mark.parametrize("number", ["1", "12345", "1566", "+44207946000", "09030000021", "113"])
def test_the_short_code_and_no_number_of_this_country_asks_nobody(number):
    assert read("1566" + number) == Asked(None)


@pytest.mark.rule("PFM-11")
@pytest.mark.parametrize("dialled", ["", "113", "1567", "+44207946000", "#", "call me"])
def test_what_is_no_number_of_this_country_is_an_ordinary_call(dialled):
    assert read(dialled) == Direct(None)


@pytest.mark.rule("PFM-10")
@given(st.text(max_size=40))
def test_nothing_that_is_dialled_raises(dialled):
    assert isinstance(read(dialled), Guidance | Direct | Asked)


@pytest.mark.rule("PFM-10")
@given(st.integers(900_000_000, 999_999_999), st.text(" .-()", max_size=3), st.integers(0, 9))
def test_separators_may_stand_anywhere(number, separators, at):
    digits = f"0{number}"
    dialled = f"1566{digits[:at]}{separators}{digits[at:]}"
    assert read(dialled) == Asked(Msisdn(84_000_000_000 + number))
