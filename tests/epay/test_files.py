"""The gateway's file of a day: whole it is read to the last line, cut or spoiled it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.billing.reconciliation import Line
from telcod.days import DAY_MS, day_start_ms
from telcod.epay.files import (
    FILE_BYTES_MAX,
    PROBLEMS_MAX,
    BadGatewayFile,
    read_gateway_file,
)

pytestmark = pytest.mark.rule("PAY-12")

DAY = 20260302
HEADER = "payment_id,amount_vnd,result,bank,cashier,masked_card,at"
GOOD = [
    "7K2M9QX4,250000,authorised,VCB,VCB01,411111******1111,2026-03-02T10:15:07+07:00",
    "7K2M9QX4,250000,voided,VCB,VCB01,411111******1111,2026-03-02T03:21:44Z",
    "8L3N,60000,declined,ACB,ACB02,,1772420400000",
]


def content(rows=GOOD, trailer=None, header=HEADER):
    total = sum(int(row.split(",")[1]) for row in GOOD)
    trailer = f"trailer,{len(GOOD)},{total}" if trailer is None else trailer
    return "\n".join([header, *rows, *([trailer] if trailer else [])]).encode() + b"\n"


def problems(data, day=DAY):
    with pytest.raises(BadGatewayFile) as caught:
        read_gateway_file(data, day)
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_file_is_read_with_what_came_in_and_what_went_out():
    file = read_gateway_file(content(), DAY)
    assert file.lines == (
        Line(1, "7K2M9QX4", 250_000, "VCB01"),
        Line(2, "7K2M9QX4", -250_000, "VCB01"),
    )
    assert (file.day, file.lines_count, file.amount_vnd) == (DAY, 3, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.rstrip(b"\n"),
    ],
)
def test_what_spreadsheets_and_systems_do_to_a_file_is_no_mistake(change):
    assert read_gateway_file(change(content()), DAY).lines_count == 3


def test_a_day_without_payments_has_a_file_too_and_each_day_its_own():
    empty = f"{HEADER}\ntrailer,0,0\n".encode()
    first, second = (read_gateway_file(empty, day) for day in (DAY, DAY + 1))
    assert (first.lines, first.amount_vnd) == ((), 0)
    assert first.hash != second.hash


@given(st.integers(0, len(content()) - 2))
def test_a_file_that_is_cut_off_anywhere_is_refused(length):
    with pytest.raises(BadGatewayFile):
        read_gateway_file(content()[:length], DAY)


def test_a_line_that_was_lost_or_repeated_on_the_way_shows_by_the_trailer():
    assert "2 and" in problems(content(rows=GOOD[:2]))[0]
    assert "4 and" in problems(content(rows=[*GOOD, GOOD[0]]))[0]
    changed = [GOOD[0].replace("250000", "250001"), *GOOD[1:]]
    assert "cut off or changed" in problems(content(rows=changed))[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("", "columns"),
        (GOOD[0] + ",x", "columns"),
        (GOOD[0].replace("7K2M9QX4", ""), "payment_id"),
        (GOOD[0].replace("7K2M9QX4", "a b"), "payment_id"),
        (GOOD[0].replace("250000", "0"), "amount_vnd"),
        (GOOD[0].replace("250000", "-5"), "amount_vnd"),
        (GOOD[0].replace("250000", "250.000"), "amount_vnd"),
        (GOOD[0].replace("250000", "9" * 30), "amount_vnd"),
        (GOOD[0].replace("authorised", "ok"), "result"),
        (GOOD[0].replace("VCB01", "V;B"), "codes"),
        (GOOD[0].replace("411111******1111", "4111111111111111"), "masked_card"),
        (GOOD[0].replace("411111******1111", "visa"), "masked_card"),
        (GOOD[0].replace("+07:00", ""), "no zone"),
        (GOOD[0].replace("2026-03-02T10:15:07+07:00", "yesterday"), "no moment"),
        (GOOD[0].replace("T10:15:07+07:00", "T23:59:59+00:00"), "not of the day"),
        (GOOD[0].replace("2026-03-02", "2026-03-01"), "not of the day"),
        ('"' + GOOD[0], "columns"),
    ],
)
def test_a_line_with_a_mistake_spoils_the_file_and_is_named(row, said):
    (problem,) = problems(content(rows=[row, *GOOD[1:]]))
    assert problem.startswith("line 2: ")
    assert said in problem


def test_a_whole_card_number_is_not_repeated():
    row = GOOD[0].replace("411111******1111", "4111111111111111")
    assert "4111111111111111" not in " ".join(problems(content(rows=[row])))


def test_all_mistakes_are_told_in_one_go_but_not_thousands():
    assert len(problems(content(rows=["x"] * 3))) == 3
    assert len(problems(content(rows=["x"] * 500))) == PROBLEMS_MAX


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "header"),
        (b"payment;amount\n", "header"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"x" * (FILE_BYTES_MAX + 1), "larger"),
        (content(trailer=""), "trailer is missing"),
        (content(trailer="trailer,3"), "the trailer must be"),
        (content(trailer="trailer,three,1"), "the trailer must be"),
        (content() + GOOD[0].encode(), "after the trailer"),
    ],
)
def test_what_is_no_such_file_is_told_why(data, said):
    assert said in problems(data)[0]


@pytest.mark.parametrize("at", [day_start_ms(DAY), day_start_ms(DAY) + DAY_MS - 1])
def test_a_day_is_of_viet_nam_from_its_first_to_its_last_millisecond(at):
    row = f"A1,50000,authorised,VCB,VCB01,,{at}"
    file = read_gateway_file(f"{HEADER}\n{row}\ntrailer,1,50000\n".encode(), DAY)
    assert file.amount_vnd == 50_000


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(data):
    with pytest.raises(BadGatewayFile):
        read_gateway_file(data, DAY)
    with pytest.raises(BadGatewayFile):
        read_gateway_file(HEADER.encode() + b"\n" + data, DAY)
