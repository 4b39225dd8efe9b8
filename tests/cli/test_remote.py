"""What a daemon answers, and how the command line takes it: as if it had met it itself (CLI-9)."""

import contextlib

import httpx
import pytest

from telcod.cli.edge import told
from telcod.cli.remote import RemoteBooks
from telcod.errors import KeyReused, Overloaded, Refusal, StoreFailed, TelcodError, Unavailable
from telcod.web.problems import MEDIA_TYPE, problem_of
from telcod.web.staff_requests import Refused

pytestmark = pytest.mark.rule("CLI-4", "CLI-9")


def books_of(answer):
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://telcod")
    return contextlib.closing(RemoteBooks(client))


def problem(error):
    found, _ = problem_of(error)
    headers = {"content-type": MEDIA_TYPE}
    content = {name: getattr(found, name) for name in ("code", "detail", "what_to_do")}
    return httpx.Response(found.status, json=content, headers=headers)


@pytest.mark.parametrize(
    "error",
    [
        Overloaded("too many requests are waiting"),
        Unavailable("telcod is stopping"),
        KeyReused("topup:1 was used for another request"),
        Refused(Refusal.NOT_FOUND, "no subscriber of this network has this number"),
        Refused(Refusal.MALFORMED, "'x' is not a number"),
        Refused(Refusal.CONFLICT, "a token has, or had, this name"),
    ],
)
def test_an_error_ends_a_command_alike_whoever_met_it(error):
    with books_of(lambda _: problem(error)) as books, pytest.raises(type(error)) as caught:
        books.show("0903000001")
    assert told(caught.value).message == told(error).message
    assert told(caught.value).exit_code == told(error).exit_code


def test_a_daemon_whose_store_failed_is_told_without_its_inside():
    with books_of(lambda _: problem(StoreFailed("/x.db: I/O"))) as books:
        with pytest.raises(StoreFailed) as caught:
            books.tokens()
        assert "x.db" not in told(caught.value).message


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"code": 1}'])
def test_an_answer_that_nobody_foresaw_is_told(content):
    with (
        books_of(lambda _: httpx.Response(502, content=content)) as books,
        pytest.raises(TelcodError, match="502"),
    ):
        books.status()


def test_a_daemon_that_goes_away_may_have_done_it_so_the_key_is_told():
    def gone(request):
        raise httpx.ReadError("gone", request=request)

    with books_of(gone) as books, pytest.raises(Unavailable, match="went away"):
        books.top_up("0903000001", 1, "shop", key="k")


def test_numbers_go_into_the_path_whole():
    asked = []

    def answer(request):
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={})

    with books_of(answer) as books:
        books.show("+84 903?x#y")
        for text in ("a/b", "..", "", " "):
            with pytest.raises(Refused):
                books.show(text)
    assert asked == [b"/staff/v1/subscribers/%2B84%20903%3Fx%23y"]
