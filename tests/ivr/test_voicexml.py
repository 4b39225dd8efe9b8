"""The documents themselves: valid, and nothing in a text becomes markup or script."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ivr import voicexml
from ivr.calls import CallAnswer
from ivr.voicexml import NAMESPACE, RETURNED, Said

pytestmark = pytest.mark.rule("IVR-4")

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("voicexml21.rng")))
V = f"{{{NAMESPACE}}}"
ASKED = CallAnswer("ask", language="vi", keys="124", answer_within_s=8, repeat=1)
TO = "consent?call_id=17&repeat=1"
# XML carries no control characters; texts from configuration have none.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]))


def valid(text):
    root = etree.fromstring(text.encode())
    assert SCHEMA.validate(root), SCHEMA.error_log
    return root


def names_that_are_declared(root):
    declared = {var.get("name") for var in root.iter(f"{V}var")}
    used = {name for each in root.iter() for name in (each.get("namelist") or "").split()}
    used |= {assign.get("name") for assign in root.iter(f"{V}assign")}
    return used <= declared


def literal(expression):
    """What an ECMAScript literal of ours stands for."""
    if expression.startswith("'"):
        return json.loads(f'"{expression[1:-1].replace(chr(34), chr(92) + chr(34))}"')
    return json.loads(expression)


def test_the_question_offers_the_keys_that_were_offered_and_waits_as_long():
    root = valid(voicexml.question(ASKED, Said("Bấm phím"), answer_to=TO))
    assert [item.text for item in root.iter(f"{V}item")] == ["1", "2", "4"]
    properties = {each.get("name"): each.get("value") for each in root.iter(f"{V}property")}
    assert properties["inputmodes"] == "dtmf"
    assert properties["timeout"] == "8s"
    assert properties["termchar"] == ""
    assert names_that_are_declared(root)


def test_silence_a_wrong_key_a_key_and_a_hangup_are_each_sent_to_telcod():
    root = valid(voicexml.question(ASKED, Said("Bấm phím"), answer_to=TO))
    sent = {submit.getparent().tag.removeprefix(V) for submit in root.iter(f"{V}submit")}
    assert sent == {"noinput", "nomatch", "filled", "catch"}
    assert {submit.get("next") for submit in root.iter(f"{V}submit")} == {TO}


def test_whatever_breaks_returns_a_refusal():
    root = valid(voicexml.question(ASKED, Said("Bấm phím"), answer_to=TO))
    [error] = [each for each in root.iter(f"{V}catch") if each.get("event") == "error"]
    assert error[0].tag == f"{V}return"
    values = {var.get("name"): literal(var.get("expr")) for var in root.iter(f"{V}var")}
    assert (values["action"], values["reason"]) == ("refuse", "unavailable")


def test_recordings_are_played_with_their_text_to_fall_back_on():
    recordings = [("audio/vi/ask.1.wav", "Thuê bao"), ("audio/vi/numbers/0.wav", "không")]
    root = valid(voicexml.question(ASKED, Said("Thuê bao 0", recordings), answer_to=TO))
    heard = [(audio.get("src"), audio.text) for audio in root.iter(f"{V}audio")]
    assert heard == recordings


@given(TEXTS, TEXTS, st.integers(0, 3_600))
def test_an_answer_returns_exactly_what_was_decided(payer, reason, seconds):
    decided = CallAnswer("connect", payer=payer, reason=reason, max_seconds=seconds, language="en")
    root = valid(voicexml.answer(decided))
    values = {var.get("name"): literal(var.get("expr")) for var in root.iter(f"{V}var")}
    assert values == {name: getattr(decided, name) for name in RETURNED}
    assert names_that_are_declared(root)


@given(TEXTS, TEXTS)
def test_no_text_becomes_markup_or_ends_a_literal(text, other):
    said = Said(text, [("audio/x.wav", other)] if other else ())
    answer = CallAnswer("refuse", reason=text, language="vi")
    for document in (
        voicexml.question(ASKED, said, answer_to=TO),
        voicexml.answer(answer, said),
        voicexml.announcement("vi", said, subdialog=False),
    ):
        root = valid(document)
        [prompt] = root.iter(f"{V}prompt")
        heard = "".join(prompt.itertext())
        # XML reads a lone carriage return as a line's end.
        assert heard.replace("\r", "\n") == (other or text).replace("\r", "\n")
        for var in root.iter(f"{V}var"):
            assert re.fullmatch(r"'[^'<>&]*'|-?[0-9]+", var.get("expr"))


@pytest.mark.parametrize("language", ["vi", "en", ""])
def test_an_announcement_ends_as_it_was_called(language):
    alone = valid(voicexml.announcement(language, Said("Xin chào"), subdialog=False))
    called = valid(voicexml.announcement(language, Said("Xin chào"), subdialog=True))
    assert [alone.find(f".//{V}exit") is None, called.find(f".//{V}return") is None] == [False] * 2
    assert alone.get("{http://www.w3.org/XML/1998/namespace}lang") == (language or "vi")


def test_the_schema_refuses_what_is_no_document():
    text = voicexml.question(ASKED, Said("x"), answer_to=TO)
    for broken in (
        text.replace('version="2.1"', 'version="3.0"'),
        text.replace("<filled>", "<filed>").replace("</filled>", "</filed>"),
        text.replace('mode="dtmf"', 'mode="speech"'),
        text.replace("<item>1</item>", "<item>10</item>"),
    ):
        assert broken != text
        assert not SCHEMA.validate(etree.fromstring(broken.encode()))
