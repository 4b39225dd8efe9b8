"""Words that are more than words somewhere: in SQL, headers, pages, tables, topics, terminals.

Each door has tests of its own for what its fields may hold; here all of them meet the same words.
"""

import asyncio
import csv
import re
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from rich.console import Console

from telcod.cli.reports import report_csv
from telcod.cli.show import as_typed
from telcod.console.desk import By, Desk
from telcod.invoices import as_cell
from telcod.reports import Report, ReportTable
from telcod.selfcare.pages import SelfPages
from telcod.storage.readers import SqliteReader
from telcod.types import Channel, Language, Request
from telcod.web.auth import SCOPES
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused
from tests.security.whole import make_tokens, routes, whole
from tests.web.fake_backend import FakeBackend
from tests.world import World

A = 84_903_000_001
HEADER = "x-injected"
NASTY = (
    "'; DROP TABLE subscriber; --",
    '" OR ""="',
    f"a\r\n{HEADER}: 1\r\n\r\n<script>alert(1)</script>",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "<script>alert(1)</script>",
    "{{7919*104729}}${7919*104729}{A.__class__}",
    "telcod/#",
    "%00%0a\x00",
    "\u202e\x1b[2J\u2028",
    "0" * 5_000,
    "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
)


# All of it at once, and what is too long for that; one by one in the thorough run.
FEW = ("".join(NASTY[:-2]), NASTY[-2])


@pytest.mark.anyio
@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    "words", [FEW, pytest.param(NASTY, marks=pytest.mark.thorough)], ids=["few", "all"]
)
async def test_no_word_in_an_address_does_more_than_be_refused(tmp_path, words):
    wrong = []
    async with whole(tmp_path) as (telcod, client):
        await telcod.subscribers({"msisdn": A, "name": "An"})
        tokens = await make_tokens(telcod)
        names = routes(telcod)
        asked = [name for name in names if "{" in name or name.startswith("GET")]
        for name in asked:
            method, path = name.split()
            scopes = names[name].opt.get(SCOPES)
            token = tokens[Scope.ADMIN if scopes is None or Scope.ADMIN in scopes else scopes[0]]
            headers = {"Authorization": f"Bearer {token}", "Origin": str(client.base_url)}
            for nasty in words:
                word = quote(nasty, safe="")
                filled = word.join(re.split(r"\{\w+\}", path))
                query = f"?said={word}&kind={word}&q={word}&lang={word}&subject={word}&start={word}"
                answer = await client.request(method, filled + query, headers=headers)
                text = answer.text
                if (
                    (answer.status_code >= 500 and name != "GET /readyz")
                    or HEADER in answer.headers
                    or "<script>alert" in (text if "html" in answer.headers["content-type"] else "")
                    or "829348951" in text
                    or "root:" in text
                ):
                    wrong.append((name, nasty[:40], answer.status_code))
        assert [row.msisdn for row in await telcod.rows_of_subscribers()] == [A]
    assert not wrong
    assert len(asked) > 60


LENGTHS = {
    "both": b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
    "twice": b"content-length: 2\r\ncontent-length: 30\r\n",
    "plus": b"content-length: +2\r\n",
    "hex": b"content-length: 0x2\r\n",
    "list": b"transfer-encoding: chunked, identity\r\ncontent-length: 2\r\n",
}


@pytest.mark.anyio
@pytest.mark.rule("HTTP-1")
async def test_a_request_of_two_lengths_is_no_request(tmp_path):
    """Or a proxy before us and we would not agree where the next one begins."""
    inner = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
    async with whole(tmp_path) as (telcod, client):
        tokens = await make_tokens(telcod)
        line = b"POST /ussd/v1/sessions/s1 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json"
        line += f"\r\nauthorization: Bearer {tokens[Scope.USSD]}\r\n".encode()
        for lengths, head in LENGTHS.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", telcod.daemon.web.port)
            writer.write(line + head + b"\r\n0\r\n\r\n" + inner)
            said = await reader.read()
            writer.close()
            assert said.startswith(b"HTTP/1.1 400"), lengths
            assert said.count(b"HTTP/1.1") == 1, lengths
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.anyio
@pytest.mark.rule("CARE-2")
async def test_no_word_of_staff_is_sql(tmp_path):
    with World(tmp_path / "telcod.db") as world:
        world.subscriber(A, name="An")
        backend = FakeBackend()
        backend.store, backend.batcher = world.store, world.batcher
        by = By("token:staff", "127.0.0.1")
        async with SqliteReader(tmp_path / "telcod.db") as reader:
            desk = Desk(backend, lambda: reader)
            filters: Any
            for nasty in NASTY:
                for filters in ({"actor": nasty}, {"subject": nasty}, {"action": nasty}):
                    page = await desk.audit(**filters)
                    assert not page.lines
                for asked in (
                    desk.payment(by, nasty),
                    desk.story(by, desk.number(str(A)), kind=nasty),
                    desk.report(nasty, 20260302),
                    desk.close_case(by, "payment_case", nasty, nasty),
                    desk.close_case(by, nasty, "1", nasty),
                    desk.resend(by, nasty, key="k"),
                ):
                    with pytest.raises(Refused):
                        await asked
                args = ("1", nasty)
                world.run(
                    Request("staff.topup", sender=A, args=args, channel=Channel.STAFF, key=nasty)
                )
        assert world.subscriber_row(A) is not None
        assert world.check() == []


@pytest.mark.rule("CLI-5")
@pytest.mark.parametrize("word", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_word_is_a_formula_in_a_table_for_spreadsheets(word):
    table = ReportTable("cashiers", ("cashier", "amount_vnd"), ((word, -5),), ())
    _, row = csv.reader(StringIO(report_csv(Report("x", 20260302, (table,), ())), newline=""))
    assert row == [f"'{word.replace(word[0], ' ') if word[0] < ' ' else word}", "-5"]
    assert str(as_cell(f"x\r{word}\n{word}")).isprintable()
    assert as_cell("An =1") == "An =1"
    assert as_cell(-5) == -5


@pytest.mark.rule("KW-6", "CARE-1")
def test_a_value_is_no_template():
    world = World()
    code = "{minutes}{{7*7}}{code.__class__}"
    text = world.rules.catalogue.render("login.code", {"code": code, "minutes": 5}, Language.VI)
    assert code in text
    page = SelfPages().render(
        "login", Language.VI, path="/me", typed=code, problem="", said="", logged_in=False
    )
    assert code in page


@pytest.mark.rule("CLI-4")
def test_what_a_customer_is_called_is_no_command_to_a_terminal():
    console = Console(width=200, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(as_typed("[bold]An[/bold] \x1b[2J\x9b31m\u202e\nB\u00ecnh Nguy\u1ec5n"))
    shown = captured.get().rstrip("\n")
    assert shown.isprintable()
    assert shown.startswith("[bold]An[/bold] \\x1b[2J")
    assert shown.endswith("B\u00ecnh Nguy\u1ec5n")
