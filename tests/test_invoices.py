"""A batch of invoices: what goes to the printer and to the spreadsheet, whatever a name holds."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.days import HOUR_MS, day_start_ms
from telcod.invoices import HEADER, as_csv, as_pages, net_vnd
from telcod.rows import Invoice

pytestmark = pytest.mark.rule("PAY-11")

DAY = 20260302
AT = day_start_ms(DAY) + 10 * HOUR_MS


def invoice(payment="7K2M9QX4", name="Nguyễn Thị Ánh", address="12 Lê Lợi, Huế", vnd=110_000):
    return Invoice(payment, 84_903_000_001, 3, DAY, AT, name, address, "a@b.vn", "bill", vnd)


def rows(text):
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


class Texts(HTMLParser):
    """All words of a page, and the tags and attributes that it has."""

    def __init__(self, page):
        super().__init__()
        self.words, self.tags, self.attributes = [], [], []
        self.feed(page)

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_a_line_has_all_of_an_invoice_with_its_tax():
    header, line = rows(as_csv([invoice()]))
    assert tuple(header) == HEADER
    assert line == [
        "7K2M9QX4",
        "0903000001",
        "Nguyễn Thị Ánh",
        "12 Lê Lợi, Huế",
        "a@b.vn",
        "bill",
        "10:00 02/03/2026",
        "110000",
        "100000",
        "10000",
    ]


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@x"])
def test_a_name_is_no_formula(name):
    assert rows(as_csv([invoice(name=name)]))[1][2] == f"'{name}"


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc"))), max_size=4))
def test_whatever_people_are_called_there_is_one_line_each(names):
    found = rows(as_csv([invoice(name=name) for name in names]))
    assert len(found) == 1 + len(names)
    assert [row[2].removeprefix("'") for row in found[1:]] == [n.removeprefix("'") for n in names]


def test_each_invoice_is_a_page_that_shows_accents_and_the_tax():
    page = as_pages([invoice(), invoice("8L3N", vnd=50_000)], DAY, 3)
    texts = Texts(page)
    assert texts.tags.count("article") == 2
    assert "break-after: page" in page
    words = " ".join(texts.words)
    for word in ("Hóa đơn giá trị gia tăng", "Nguyễn Thị Ánh", "12 Lê Lợi, Huế", "0903000001"):
        assert word in words
    for amount in ("110.000", "100.000", "10.000", "50.000", "45.455", "4.545"):
        assert amount in words
    assert "Trung tâm 3, ngày 02/03/2026" in words


def test_a_batch_without_requests_says_so():
    assert "Không có yêu cầu" in as_pages([], DAY, 1)
    assert rows(as_csv([])) == [list(HEADER)]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_a_name_is_never_taken_for_markup(name):
    plain = Texts(as_pages([invoice()], DAY, 3))
    texts = Texts(as_pages([invoice(name=name, address=name)], DAY, 3))
    assert (texts.tags, texts.attributes) == (plain.tags, plain.attributes)
    assert "".join(texts.words).count(name) >= 2


def test_a_page_loads_nothing_from_anywhere():
    page = as_pages([invoice()], DAY, 3)
    assert not re.search(r"https?:|src=|href=|url\(|@import|<script", page)


@given(st.integers(1, 10**12), st.integers(0, 50))
def test_tax_and_the_rest_are_the_amount_to_the_dong(amount_vnd, percent):
    net = net_vnd(amount_vnd, percent)
    assert abs((amount_vnd - net) * 100 - net * percent) <= 100 + percent
    assert 0 <= net <= amount_vnd
