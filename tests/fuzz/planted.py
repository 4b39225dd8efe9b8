"""A mistake for each target that it must not forgive, put into telcod as long as a `with` lasts."""

import re
import tomllib

import msgspec

import ivr.agi_protocol
import ivr.calls
import ivr.voicexml
import telcod.bulk
import telcod.dispatch
import telcod.epay.files
import telcod.epay.hosted
import telcod.epay.signatures
import telcod.epay.site.forms
import telcod.messages
import telcod.mqtt.asked
import telcod.msisdn
import telcod.rulebook
import telcod.settings
import telcod.smpp.incoming
import telcod.smpp.pdu
import telcod.text.parts
import ussd.gateway_profile
import ussd.menu
import ussd.smpp_profile
from telcod.days import business_date
from telcod.dispatch import Parsed
from telcod.smpp.framing import Framer
from telcod.smpp.session import Session
from tests.planted.bugs import put_in


def _forgets_an_octet(right):
    return lambda self, data: right(self, data[:-1] if len(data) == 4 else data)


def _another_class(right):
    def wrong(*args):
        body = right(*args)
        return body and msgspec.structs.replace(body, esm_class=body.esm_class ^ 1)

    return wrong


def _says_nothing(_):
    return lambda *_: None


def _longer_parts(right):
    return lambda septets, room: right(septets, room + 8)


def _password_is_an_argument(_):
    return lambda route, text, __: Parsed(route.name, (text,))


def _any_digits(_):
    return lambda digits, _: telcod.msisdn.Msisdn(84_000_000_000 + int(digits))


def _cuts_nothing(_):
    return lambda items, _, **__: ", ".join(items)


def _as_it_is(_):
    return lambda text, *_: text


def _quotes_nothing(_):
    return lambda value: f"'{value}'"


PLANTED = {
    "framing": (Framer, "feed", _forgets_an_octet),
    "pdu": (telcod.smpp.pdu, "_quick_decode_sm", _another_class),
    "session": (Session, "_refuse", _says_nothing),
    "incoming": (telcod.smpp.incoming, "decode_short_message", lambda _: lambda *_, **__: "\ud800"),
    "gsm": (telcod.text.parts, "_cut_gsm7", _longer_parts),
    "keywords": (telcod.dispatch, "_password", _password_is_an_argument),
    "numbers": (telcod.msisdn, "_parse_national", _any_digits),
    "templates": (telcod.messages, "join_cut", _cuts_nothing),
    "ussd_menu": (ussd.menu, "gsm_safe", _as_it_is),
    "ussd_gateways": (ussd.gateway_profile, "_ESCAPES", lambda right: dict.fromkeys(right, str)),
    "ussd_smpp": (ussd.smpp_profile, "_text", lambda _: lambda *_: "\1"),
    "agi": (ivr.agi_protocol.AgiReader, "feed", _forgets_an_octet),
    "call_bodies": (ivr.calls, "_whole", lambda _: str),
    "voicexml": (ivr.voicexml, "_literal", _quotes_nothing),
    "mqtt": (
        telcod.mqtt.asked,
        "_fields",
        lambda _: lambda payload: (msgspec.json.decode(payload), None),
    ),
    "notification": (telcod.epay.signatures, "_ID", lambda _: re.compile(".*", re.DOTALL)),
    "gateway_answers": (telcod.epay.hosted, "GatewaySilent", lambda _: KeyError),
    "pay_form": (telcod.epay.site.forms, "_UNITS", lambda right: dict.fromkeys(right, -1)),
    "bank_file": (
        telcod.epay.files,
        "_day_of",
        lambda _: lambda at: business_date(int(at)),
    ),
    "subscribers": (telcod.bulk, "_amount", lambda _: lambda *_: -1),
    "settings": (telcod.settings.Secret, "__repr__", lambda _: telcod.settings.Secret.reveal),
    "rule_files": (telcod.rulebook, "parse", lambda _: tomllib.loads),
}


def planted(name):
    """The mistake of a target, as a context."""
    return put_in(*PLANTED[name])
