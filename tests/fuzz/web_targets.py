"""What other systems and browsers post: MQTT requests, notifications of cards, forms, answers."""

import asyncio
from typing import Any

import msgspec

import ivr.mqtt
import ussd.mqtt
from ivr.calls import BadField
from telcod import network_ops
from telcod.epay import notifications
from telcod.epay.gateway import GatewayRefused, GatewaySilent, is_page
from telcod.epay.hosted import (
    ANSWER_BYTES_MAX,
    _Answer,
    _CreatedBody,
    _read,
    _RefusedBody,
    _SaidBody,
    _short,
    _VoidedBody,
)
from telcod.epay.signatures import Head, Verdict, judge, signature
from telcod.epay.site.forms import form_problems, read_amount, read_fields, read_pay_form
from telcod.errors import Refusal, TelcodError
from telcod.mqtt import asked
from telcod.msisdn import parse
from telcod.problems import told
from telcod.types import Answer, Request
from telcod.web.staff_requests import Refused
from tests.fuzz.bites import Bites, check_words
from tests.world import shipped_rules

NOW_MS = 1_790_000_000_000
SECRET = bytes(range(32))
TOPIC = "answers/1"
LOOP = asyncio.new_event_loop()
ANSWERS: dict[str, Any] = {
    "call.offer": {"action": "refuse"},
    "call.consent": {"action": "refuse"},
    "call.answered": {"max_seconds": 1, "final": True},
    "call.progress": {"max_seconds": 1, "final": True},
    "call.ended": {"charged_vnd": 0, "billed_seconds": 0},
    "call.show": {
        "state": "ended",
        "reason": "",
        "max_seconds": 0,
        "used_seconds": 0,
        "charged_vnd": 0,
        "billed_seconds": 0,
    },
    "ussd.step": {"action": "end", "text": "x", "step": 1},
    "staff.topup": {"balance_vnd": 1, "package": ""},
    "network.subscriber": {"outcome": "subscriber.added"},
}


class _Backend:
    """Books that agree to everything, and look at what they are asked."""

    prompts = shipped_rules().prompts

    async def submit(self, request):
        check_request(request)
        return Answer("call.ok", data=ANSWERS.get(request.route))

    def parse_number(self, text):
        return parse(text)


def check_request(request):
    """It can be stored: texts are UTF-8, numbers fit the books' columns."""
    assert isinstance(request, Request)
    msgspec.json.encode((request.args, request.key, request.actor, request.body))
    for arg in request.args:
        arg.encode()
    assert 0 <= request.event_ms < 2**63
    assert request.sender == 0 or 84_100_000_000 <= request.sender <= 84_999_999_999
    for value in (request.body or {}).values():
        assert not isinstance(value, int) or abs(value) < 2**63


_BACKEND: Any = _Backend()
OPS = {
    **{("ivr", name): op for name, op in ivr.mqtt.ops(_BACKEND).items()},
    **{("ussd", name): op for name, op in ussd.mqtt.ops(_BACKEND).items()},
    **{("network", name): op for name, op in network_ops.ops(_BACKEND.submit, parse).items()},
}
DOORS = ("ivr", "ussd", "network")


# -- MQTT


def mqtt(data):
    """A payload gets an answer in JSON, by the rules or against them, below the prefix only."""
    bites = Bites(data)
    door = bites.one_of(DOORS)
    topic = bites.one_of(("", TOPIC, bites.text()))
    correlation, payload = bites.octets(bites.below(8)), bites.rest()
    try:
        request, address = asked.read(
            payload, topic=topic, correlation=correlation, prefix="answers/"
        )
    except asked.Forbidden as error:
        assert topic != TOPIC
        str(error).encode()
        return
    if address is not None:
        assert address.topic.startswith("answers/")
        assert not set(address.topic) & set("+#\0")
        assert address.correlation == correlation
    said = LOOP.run_until_complete(_carried_out(door, request))
    assert isinstance(msgspec.json.decode(asked.answer(address, said)), dict)


async def _carried_out(door, request):
    op = OPS.get((door, request.op))
    try:
        if request.wrong is not None:
            raise request.wrong
        if op is None:
            return {}
        return await op(request.fields)
    except (TelcodError, BadField) as error:
        return _problem(error)


def _problem(error):
    assert told(error).code != "failed", repr(error)
    return asked.problem(error)


# -- the card gateway


def notification(data):
    """Nothing unsigned is let in; what is signed is noted, or refused by its field."""
    bites = Bites(data)
    head = Head(*(bites.some().decode("latin-1") for _ in range(3)))
    said_id = bites.text()
    body = bites.rest()
    assert judge(head, body, [SECRET], now_ms=NOW_MS) is not Verdict.GENUINE
    stamp = str(NOW_MS // 1_000)
    try:
        good = Head(said_id, stamp, f"v2,x {signature(SECRET, said_id, stamp, body)}")
    except UnicodeEncodeError:
        return
    verdict = judge(good, body, [SECRET], now_ms=NOW_MS)
    assert (verdict is Verdict.GENUINE) == notifications_id(said_id)
    assert judge(good, body + b" ", [SECRET], now_ms=NOW_MS) is not Verdict.GENUINE
    try:
        said = notifications.read(body, said_id)
    except Refused as error:
        _check_refusal(error)
        return
    check_request(notifications.request_of(said))


def _check_refusal(error):
    assert error.refusal is Refusal.MALFORMED
    check_words(str(error))


def notifications_id(text):
    return 1 <= len(text) <= 128 and all("!" <= char <= "~" for char in text)


def gateway_answers(data):
    """An answer of the card gateway makes sense, or nobody knows; never anything else."""
    bites = Bites(data)
    shape = bites.one_of((_CreatedBody, _SaidBody, _RefusedBody, _VoidedBody))
    answer = _Answer(bites.one_of((200, 201, 400, 404, 409, 500)), bites.rest()[:ANSWER_BYTES_MAX])
    try:
        said = _read(answer, shape)
    except (GatewaySilent, GatewayRefused) as error:
        check_words(str(error))
        return
    for name in shape.__struct_fields__:
        value = getattr(said, name)
        if isinstance(value, str):
            assert len(_short(value)) <= 200
            _short(value).encode()
            if is_page(value):
                assert value.lower().startswith(("http://", "https://"))
                assert not set(value) & set(' \n\r<>"')


# -- pages


def pay_form(data):
    """What a payer types is read or told as wrong by its field; an amount is read in one way."""
    bites = Bites(data)
    amount, body = bites.text(), bites.rest()
    fields = read_fields(body)
    form = read_pay_form(fields)
    problems = form_problems(form, number_is_good=bites.flag())
    assert problems.keys() <= {"number", "purpose", "amount", "card", "email"}
    for text in (amount, form.amount):
        vnd = read_amount(text)
        if vnd is not None:
            assert 0 <= vnd <= 10**12
            assert read_amount(str(vnd)) == vnd
            assert read_amount(f"{vnd:,}".replace(",", ".")) == vnd
    assert len(form.email) <= 120
