"""Which way the command line takes to the books, and what it says when there is none."""

import contextlib

import pytest

from telcod.cli.books import open_books
from telcod.settings import load
from telcod.storage.sqlite import SqliteStore
from telcod.web.sockets import control_socket_path, unix_socket

pytestmark = pytest.mark.rule("CLI-4", "CLI-9")


def test_a_running_daemon_is_asked_and_else_the_file_is_opened(place):
    settings = load(place.folder, {})
    with open_books(settings, create=True) as books:
        assert not books.served
    with place.served(), open_books(settings) as books:
        assert books.served


def test_the_control_socket_lies_beside_the_database_or_where_the_settings_say(place):
    assert control_socket_path(load(place.folder, {})) == place.folder / "telcod.db.sock"
    named = load(place.folder, {"TELCOD_HTTP__CONTROL_SOCKET": "run/c.sock"})
    assert control_socket_path(named) == place.folder / "run/c.sock"
    server = load(place.folder, {"TELCOD_STORE__URL": "postgresql://db/telcod"})
    assert control_socket_path(server) == place.folder / "telcod.sock"


def test_without_a_database_nothing_is_shown_and_none_is_made(place):
    found = place.tell("subscribers", "show", "0903000001")
    assert found.exit_code == 3
    assert "there is no database at" in found.stderr
    assert not (place.folder / "telcod.db").exists()


def test_a_file_in_use_by_a_daemon_that_does_not_answer_is_told(place):
    with contextlib.closing(SqliteStore.open(place.folder / "telcod.db")):
        found = place.tell("subscribers", "show", "0903000001")
    assert found.exit_code == 3
    assert "does not answer on" in found.stderr


def test_a_socket_left_by_a_killed_daemon_does_not_stop_anybody(place):
    place.tell("token", "create", "x", "--scope", "ivr")
    unix_socket(place.folder / "telcod.db.sock").close()
    assert place.tell("token", "list").exit_code == 0


def test_a_store_that_is_a_server_needs_its_daemon(place):
    config = place.folder / "telcod.toml"
    text = config.read_text().replace("sqlite:telcod.db", "postgresql://db/telcod")
    config.write_text(text)
    found = place.tell("token", "list")
    assert found.exit_code == 3
    assert "no daemon answers" in found.stderr


@pytest.mark.rule("CLI-1", "HTTP-3")
def test_the_status_of_a_daemon_is_shown_and_of_none_is_told(place):
    assert place.tell("status").exit_code == 1
    with place.served():
        found = place.tell("status")
        assert found.exit_code == 1  # no link is bound: nothing could be served
        assert "0 requests wait" in found.stdout
        assert place.tell("confirm-clock").stdout == "It was fine.\n"
