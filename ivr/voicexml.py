"""VoiceXML 2.1 documents: the question to B, what A hears, and answers as subdialogs return them
(IVR-4).  Pure.

Made as trees and written as XML, so that nothing in a text can become markup; texts that stand in
an ECMAScript expression are written as its literals.  A document holds no rule: what a key, silence
or a hang-up means is asked of telcod, which answers with the next document.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from ivr.calls import CallAnswer

MEDIA_TYPE: Final = "application/voicexml+xml"
NAMESPACE: Final = "http://www.w3.org/2001/vxml"
RETURNED: Final = ("action", "payer", "max_seconds", "warn_seconds", "reason")

_SILENCE: Final = "silence"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_FETCH_WAIT_S: Final = 5  # telcod answers within 2.5
# What a script engine, or an older one inside HTML, might take for something else.
_ESCAPED: Final = {ord(char): f"\\u{ord(char):04x}" for char in "'<>&"}


class Said(NamedTuple):
    """A prompt: its text and, where there are recordings of all of it, which and what they hold."""

    text: str
    recordings: Sequence[tuple[str, str]] = ()  # (address, text)


def question(asked: CallAnswer, said: Said, *, answer_to: str) -> str:
    """Ask B, and send what he does to `answer_to`, which gives the next document.

    Args:
        asked: What is asked; only its `keys` are taken.
        said: The question in words.
        answer_to: An address relative to this document's.
    """
    root = _document(asked.language)
    _property(root, "inputmodes", "dtmf")
    _property(root, "timeout", f"{asked.answer_within_s}s")
    _property(root, "termchar", "")
    _property(root, "fetchtimeout", f"{_FETCH_WAIT_S}s")
    _variables(root, {name: getattr(_UNAVAILABLE, name) for name in RETURNED})
    _variables(root, {"result": _SILENCE, "digit": ""})
    # Whatever breaks: nobody agreed to anything.
    error = ET.SubElement(root, "catch", event="error")
    ET.SubElement(error, "return", namelist=" ".join(RETURNED))
    gone = ET.SubElement(root, "catch", event="connection.disconnect")
    _submit(gone, answer_to, result="'hangup'")

    form = ET.SubElement(root, "form", id="consent")
    field = ET.SubElement(form, "field", name="pressed")
    _grammar(field, asked.keys)
    _prompt(field, said, bargein=True)
    _submit(ET.SubElement(field, "noinput"), answer_to)
    # The platform does not say which key it was; either way B is asked again (PFM-12).
    _submit(ET.SubElement(field, "nomatch"), answer_to)
    _submit(ET.SubElement(field, "filled"), answer_to, result="'digit'", digit="pressed")
    return _written(root)


def answer(decided: CallAnswer, said: Said | None = None) -> str:
    """Say something, if there is something to say, and return what was decided to the dialog that
    called this one.
    """
    root = _document(decided.language)
    form = ET.SubElement(root, "form", id="answer")
    _variables(form, {name: getattr(decided, name) for name in RETURNED})
    block = ET.SubElement(form, "block")
    if said is not None:
        _prompt(block, said, bargein=False)
    ET.SubElement(block, "return", namelist=" ".join(RETURNED))
    return _written(root)


def announcement(language: str, said: Said, *, subdialog: bool) -> str:
    """Say something and end: the session, or only this dialog if another one called it."""
    root = _document(language)
    form = ET.SubElement(root, "form", id="announcement")
    block = ET.SubElement(form, "block")
    _prompt(block, said, bargein=False)
    ET.SubElement(block, "return" if subdialog else "exit")
    return _written(root)


_UNAVAILABLE: Final = CallAnswer("refuse", reason="unavailable")


def _document(language: str) -> ET.Element:
    return ET.Element("vxml", {"xmlns": NAMESPACE, "version": "2.1", _LANGUAGE: language or "vi"})


def _property(parent: ET.Element, name: str, value: str) -> None:
    ET.SubElement(parent, "property", name=name, value=value)


def _variables(parent: ET.Element, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        ET.SubElement(parent, "var", name=name, expr=_literal(value))


def _submit(parent: ET.Element, address: str, **assigned: str) -> None:
    for name, expression in assigned.items():
        ET.SubElement(parent, "assign", name=name, expr=expression)
    ET.SubElement(parent, "submit", next=address, method="post", namelist="result digit")


def _grammar(parent: ET.Element, keys: Iterable[str]) -> None:
    grammar = ET.SubElement(parent, "grammar", mode="dtmf", version="1.0", root="keys")
    rule = ET.SubElement(grammar, "rule", id="keys", scope="public")
    one_of = ET.SubElement(rule, "one-of")
    for key in keys:
        ET.SubElement(one_of, "item").text = key


def _prompt(parent: ET.Element, said: Said, *, bargein: bool) -> None:
    prompt = ET.SubElement(parent, "prompt", bargein="true" if bargein else "false")
    if not said.recordings:
        prompt.text = said.text
    for address, text in said.recordings:
        ET.SubElement(prompt, "audio", src=address).text = text


def _literal(value: object) -> str:
    """A number or a text in ECMAScript; JSON's way to write either is also its."""
    if isinstance(value, str):
        return "'" + json.dumps(value)[1:-1].replace('\\"', '"').translate(_ESCAPED) + "'"
    return json.dumps(value)


def _written(root: ET.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
