"""What voice platforms send: FastAGI, JSON and forms, and what VoiceXML documents post."""

import asyncio
import string
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from ivr import calls, voicexml
from ivr.agi_line import HungUp, Line, PeerGone
from ivr.agi_protocol import AgiLost, AgiReader, Environment
from ivr.agi_scripts import SCRIPTS, Service
from ivr.calls import (
    Answered,
    BadField,
    CallAnswer,
    Consent,
    Ended,
    Offer,
    Progress,
)
from ivr.http import form_fields
from ivr.voicexml import Said
from ivr.voicexml_routes import _heard
from telcod.errors import Overloaded
from telcod.msisdn import parse
from telcod.types import Answer, Request
from telcod.web.staff_requests import Refused
from tests.fuzz.bites import Bites, cut
from tests.world import shipped_rules

PROMPTS = shipped_rules().prompts
LOOP = asyncio.new_event_loop()
ACTIONS = ("connect", "ask", "refuse", "busy", "announce", "not_applicable")
ENVIRONMENT = b"agi_network_script: x/offer\nagi_extension: 1566\nagi_callerid: 0903000001\n"
VXML = f"{{{voicexml.NAMESPACE}}}"


# -- FastAGI


def agi(data):
    """Any pieces of a stream say the same; nothing that a peer says ends a script untold."""
    bites = Bites(data)
    sizes, script, answers = Bites(bites.some()), bites.one_of(tuple(SCRIPTS)), Bites(bites.some())
    head = ENVIRONMENT if bites.flag() else b""
    stream = head + bites.rest()
    whole = _agi_events([stream])
    pieces = _agi_events(cut(stream, sizes))
    assert whole == pieces or (whole[1] and whole[0][: len(pieces[0])] == pieces[0])
    LOOP.run_until_complete(_converse(SCRIPTS[script], stream, answers))


def _agi_events(pieces):
    reader, found = AgiReader(), list[Any]()
    try:
        for piece in pieces:
            reader.feed(piece)
            found += reader.events()
    except AgiLost:
        # What was complete before it stays good.
        return [*found, *reader.events()], True
    return found, False


async def _converse(script, stream, answers):
    said = asyncio.StreamReader()
    said.feed_data(stream)
    said.feed_eof()
    writer: Any = _Writer()
    books = _books(answers)
    service = Service(books, parse, lambda: PROMPTS, retry_pause_s=0)
    line = Line(said, writer, sounds="telcod")
    try:
        environment = await line.environment()
        assert isinstance(environment, Environment)
        await script(service, line, environment)
    except (HungUp, PeerGone, AgiLost, BadField, ValueError):
        pass  # As the server takes it: the connection is closed, the dialplan connects nobody.
    for command in b"".join(writer.written).split(b"\n")[:-1]:
        assert command.decode().isprintable()
        assert command.startswith((b"STREAM", b"WAIT", b"SET", b"CHANNEL"))


class _Writer:
    """A stream to nobody."""

    def __init__(self):
        self.written = []

    def write(self, octets):
        assert octets.endswith(b"\n")
        assert octets.count(b"\n") == 1
        self.written.append(octets)

    async def drain(self):
        pass


def _books(bites):
    """Books that answer whatever the bytes say, but always as books can answer."""

    async def submit(request):
        assert isinstance(request, Request)
        for arg in request.args:
            arg.encode()
        match bites.below(4):
            case 0:
                raise Overloaded("too many requests are waiting")
            case 1:
                return Answer("call.unknown")
            case _:
                return Answer("call.ok", data=_data_of(request.route, bites))

    return submit


def _data_of(route, bites):
    match route:
        case "call.offer" | "call.consent":
            refused = PROMPTS.files("refused", "vi")
            return {
                "action": bites.one_of(ACTIONS),
                "max_seconds": bites.uint(2),
                "prompt_files": "&".join(refused),
                "language": "vi",
                "answer_within_s": bites.below(11),
            }
        case "call.show":
            state = bites.one_of(("asking", "talking", "ended"))
            words = {"state": state, "reason": ""}
            return words | dict.fromkeys(
                ("max_seconds", "used_seconds", "charged_vnd", "billed_seconds"), 0
            )
        case "call.ended":
            return {"charged_vnd": 0, "billed_seconds": 0, "drop": bites.one_of(("", "payer"))}
        case _:
            return {"max_seconds": bites.uint(2), "final": bites.flag()}


# -- calls over HTTP


_KINDS = (
    (Offer, lambda _, said: calls.offer(said, platform="p", caller=0)),
    (Consent, lambda id_, said: calls.consent(id_, said, platform="p")),
    (Answered, lambda id_, said: calls.answered(id_, said, platform="p")),
    (Progress, lambda id_, said: calls.progress(id_, said, platform="p")),
    (Ended, lambda id_, said: calls.ended(id_, said, platform="p")),
)


def call_bodies(data):
    """A body, JSON or a form, makes a request or is refused by the name of its field."""
    bites = Bites(data)
    shape, request_of = bites.one_of(_KINDS)
    call_id, as_form, body = bites.text(), bites.flag(), bites.rest()
    try:
        fields = form_fields(body) if as_form else msgspec.json.decode(body)
    except Refused as error:
        str(error).encode()
        return
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # The framework's: 400.
    try:
        # As lenient as the framework is.
        request = request_of(call_id, msgspec.convert(fields, shape, strict=False))
    except msgspec.ValidationError:
        return
    except BadField as error:
        _check_field(error.field, shape)
        return
    assert isinstance(request, Request)
    for arg in request.args:
        arg.encode()
    assert 0 <= request.event_ms < 4_102_444_800_000
    if shape in {Progress, Ended}:
        assert -1 <= int(request.args[1]) <= calls.TALK_S_MAX


def _check_field(field, shape):
    assert field in {*shape.__struct_fields__, "call_id"}


# -- VoiceXML


def voicexml_documents(data):
    """Documents stay documents, whatever ids, tokens and texts they carry."""
    bites = Bites(data)
    posted, keys = bites.some(), bites.octets(4).decode("latin-1")
    address, language = bites.text(), bites.one_of(("vi", "en", ""))
    texts = ["".join(filter(str.isprintable, bites.text())) for _ in range(3)]
    keys = "".join(key for key in keys if key in string.digits + "*#") or "1"
    try:
        heard = _heard(form_fields(posted))
        calls.consent("1", Consent(heard.result, digit=heard.digit), platform="p")
    except (Refused, BadField) as error:
        str(error).encode()
    address = "".join(filter(str.isprintable, address))
    answer = CallAnswer(
        "ask", payer=texts[0], reason=texts[1], language=language, keys=keys, answer_within_s=5
    )
    said = Said(texts[2], [(texts[0], texts[1])] if bites.flag() else [])
    asked = _xml(voicexml.question(answer, said, answer_to=address).encode())
    assert {submit.get("next") for submit in asked.iter(f"{VXML}submit")} == {address}
    assert [item.text for item in asked.iter(f"{VXML}item")] == list(keys)
    told = _xml(voicexml.answer(answer, said).encode())
    values = {var.get("name"): _script_value(var.get("expr")) for var in told.iter(f"{VXML}var")}
    assert values == {name: getattr(answer, name) for name in voicexml.RETURNED}
    [prompt] = told.iter(f"{VXML}prompt")
    assert (
        "".join(prompt.itertext()).strip()
        == "".join(text for _, text in said.recordings or [("", said.text)]).strip()
    )
    _xml(voicexml.announcement(language, said, subdialog=bites.flag()).encode())


def _xml(document):
    return ET.fromstring(document)  # noqa: S314  # Our own.


def _script_value(expression):
    """What a script engine makes of a literal: nothing ends it but its own quotes."""
    if not expression.startswith("'"):
        return msgspec.json.decode(expression)
    inside = expression[1:-1]
    assert expression.endswith("'")
    assert "'" not in inside
    assert not set(inside) & set("<>&\n\r")
    return msgspec.json.decode('"' + inside.replace('"', '\\"') + '"')
