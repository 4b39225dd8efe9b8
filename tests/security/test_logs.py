"""Nothing that somebody else wrote makes a line of the log, hides one, or is a secret in it."""

import io
import json
import logging

import pytest
import structlog

from telcod import log
from telcod.clock import ManualClock

CARDS = ("4111111111111111", "5500 0000 0000 0004", "3782-822463-10005", "9704 0000 0000 0018")
NO_CARDS = ("4111111111111112", "1790000000000000", "84903000001 1566", "4111 1111")
TOKEN = "telcod_" + "aB3_-" * 9


@pytest.fixture
def lines():
    streams = []

    def configure(**how):
        stream = io.StringIO()
        streams.append(stream)
        log.configure(stream=stream, clock=ManualClock(0), cached=False, **how)
        return stream

    yield configure
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


FORGED = (
    "x\n2026-01-01T00:00:00.000Z [error    ] telcod.crashed",
    "x\r\x1b[2K\x1b[1A[error] forged",
    "\x9b2Jforged",
    "\u202edegrof",
    "x\u2028forged\x85forged\x0bforged",
    "\x00\x07\x08",
)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("word", FORGED)
def test_no_word_of_others_ends_a_line_or_moves_the_cursor(lines, form, word):
    stream = lines(form=form)
    structlog.get_logger().info("text.received", by=word, said={"a": [word]})
    logging.getLogger("some.library").warning("heard %s", word)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert written.replace("\n", "").isprintable()


def test_no_exception_s_words_look_like_a_line_of_the_log(lines):
    stream = lines(form="console")
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z [error    ] forged \x1b[31m")
    except ValueError:
        structlog.get_logger().exception("request.failed")
    written = stream.getvalue()
    assert "ValueError" in written
    assert not [line for line in written.splitlines()[1:] if line.startswith(("2026", "1970"))]
    assert "\x1b" not in written


def test_what_is_no_letter_is_still_the_same_in_json(lines):
    stream = lines(form="json")
    word = "".join(FORGED) + "\U000e0001 Nguyễn"
    structlog.get_logger().info("text.received", by=word)
    assert json.loads(stream.getvalue())["by"] == word


@pytest.mark.rule("PAY-4")
@pytest.mark.parametrize("card", CARDS)
def test_a_card_s_number_is_masked_wherever_somebody_types_it(card):
    assert log.masked(f"reason: {card}.") == f"reason: ***{card.replace(' ', '')[-4:]}."
    digits = "".join(char for char in card if char.isdigit())
    event = log.redact(None, "info", {"event": "x.done", "at": int(digits), "in": {"a": [card]}})
    assert digits[:8] not in str(event)
    assert card not in str(event)


@pytest.mark.parametrize("text", NO_CARDS)
def test_other_numbers_are_no_cards(text):
    assert log.masked(text) == text.replace("84903000001", "8490***0001")


@pytest.mark.rule("CLI-7", "PAYAPI-2")
@pytest.mark.parametrize("secret", [TOKEN, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_token_is_masked_wherever_somebody_pastes_it(secret):
    begin = secret.partition("_")[0]
    assert log.masked(f"/staff/v1/{secret}?x") == f"/staff/v1/{begin}_***?x"


@pytest.mark.rule("SMPP-8", "PAY-1")
@pytest.mark.parametrize(
    "key", ["password", "outbind_password", "gateway_secret", "webhook_secrets", "push_token"]
)
def test_a_secret_is_hidden_under_any_name_that_secrets_have(key):
    event = log.redact(None, "info", {key: "s3cret", "in": {key: ["s3cret"]}})
    assert "s3cret" not in str(event)


def test_what_is_no_secret_is_shown():
    event = {"password_set": True, "secret_bearing": 1, "tokens_read": 3}
    assert log.redact(None, "info", dict(event)) == event
