"""The targets by name: each takes bytes, and raises when a promise of telcod's is broken."""

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import file_targets, smpp_targets, text_targets, ussd_targets
from tests.fuzz import voice_targets as voice
from tests.fuzz import web_targets as web


class Target(NamedTuple):
    """`one` is run with bytes of `bytes_max` at most; `files_max` is the size of its corpus, less
    where a run is dear.
    """

    one: Callable[[bytes], None]
    bytes_max: int = 2_048
    files_max: int = 200


TARGETS = {
    "framing": Target(smpp_targets.framing, 4_096),
    "pdu": Target(smpp_targets.pdu, 1_024),
    "session": Target(smpp_targets.session),
    "incoming": Target(smpp_targets.incoming, 1_024),
    "gsm": Target(text_targets.gsm, 1_024),
    "keywords": Target(text_targets.keywords, 512),
    "numbers": Target(text_targets.numbers, 512),
    "templates": Target(text_targets.templates, 1_024),
    "ussd_menu": Target(ussd_targets.ussd_menu, 1_024),
    "ussd_gateways": Target(ussd_targets.ussd_gateways),
    "ussd_smpp": Target(ussd_targets.ussd_smpp, 512),
    "agi": Target(voice.agi, 4_096),
    "call_bodies": Target(voice.call_bodies),
    "voicexml": Target(voice.voicexml_documents, 1_024),
    "mqtt": Target(web.mqtt),
    "notification": Target(web.notification, 2_048),
    "gateway_answers": Target(web.gateway_answers),
    "pay_form": Target(web.pay_form, 1_024),
    "bank_file": Target(file_targets.bank_file),
    "subscribers": Target(file_targets.subscribers),
    "settings": Target(file_targets.settings),
    "rule_files": Target(file_targets.rule_files, files_max=80),
}
