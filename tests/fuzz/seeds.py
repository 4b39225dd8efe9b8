"""Where a fuzzer begins: what peers really send, laid out as each target reads its bytes.

`python -m tests.fuzz.seeds` writes them into the corpora, as `seed-…`.
"""

from itertools import chain

from ivr.agi_scripts import SCRIPTS
from telcod.settings import shipped_config_dir
from telcod.smpp.consts import TlvTag
from tests.fuzz.corpus import CORPUS
from tests.fuzz.file_targets import KINDS
from tests.fuzz.smpp_targets import ALPHABETS, COMMANDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.text_targets import CODES
from tests.fuzz.ussd_targets import GATEWAYS
from tests.fuzz.web_targets import DOORS
from tests.smpp.vectors import VECTORS

FRAMES = [bytes.fromhex(text) for text, _ in VECTORS]
CONFIG = shipped_config_dir()
TEXTS = (
    "DK", "dk7", "Đăng ký 7", "B 0903000001, 84912345678", "XOAB ALL", "KT CUOC", "NN en",
    "soạn tin HUY DK7 gửi 1566", "W +84 (0) 903 000 001 0912345678", "Y 1234", "MK ab12CD", "nhan",
    "mk: 12345678", "tc", "\u200bD\u200bK", "“DK”", "ĐK７", "H U Y", "B0903000001", "KTB",
)  # fmt: skip
JSON = {
    "offer": b'{"call_id": "a-1", "caller": "0903000001", "dialled": "1566", "at": 1.79e9}',
    "consent": b'{"call_id": "a-1", "result": "digit", "digit": "1", "repeat": 1}',
    "answered": b'{"call_id": "a-1", "at": "2026-03-02T10:00:00+07:00"}',
    "progress": b'{"call_id": "a-1", "used_seconds": 61.5}',
    "ended": b'{"call_id": "a-1", "used_seconds": 9, "cause": "busy", "at": "1e12"}',
    "show": b'{"call_id": "a-1"}',
    "step": b'{"session_id": "s1", "msisdn": "0903000001", "service_code": "*1566*1#", "step": 0}',
    "end": b'{"session_id": "s1"}',
    "topup": b'{"event_id": "e1", "msisdn": "0903000001", "amount_vnd": 20000}',
    "call_failed": b'{"event_id": "e2", "caller": "0903000001", "called": "0903000002",'
    b' "reason": "insufficient_balance"}',
    "subscriber": b'{"msisdn": "84903000001", "kind": "prepaid", "state": "active", "centre": 1,'
    b' "name": "An", "balance_vnd": 5000}',
}
OPS = {"ivr": ("offer", "consent", "answered", "progress", "ended", "show"),
       "ussd": ("step", "end"), "network": ("topup", "call_failed", "subscriber")}  # fmt: skip
GATEWAY_BODIES = {
    "africastalking": b"sessionId=a1&serviceCode=*1566%23&phoneNumber=%2B84903000001&text=1*2",
    "freeflow": b"SessionID=1&MSISDN=84903000001&input=1566",
    "restcomm": b'<?xml version="1.0"?><dialog localId="1" type="Begin">'
    b'<processUnstructuredSSRequest_Request invokeId="0" string="*1566#">'
    b'<msisdn number="84903000001"/></processUnstructuredSSRequest_Request></dialog>',
    "shouldclose": b'{"msisdn": "84903000001", "text": "1", "shortCode": "*1566#"}',
    "yate": b"<ussd/>",
}
BANK = (
    b"7K2M9QX4,250000,authorised,VCB,VCB01,411111******1111,2026-03-02T10:15:07+07:00\n"
    b"7K2M9QX4,250000,voided,VCB,VCB01,411111******1111,2026-03-02T03:21:44Z\n"
    b"8L3N,60000,declined,ACB,ACB02,,1772420400000\ntrailer,3,560000\n"
)
SUBSCRIBER_LINES = (
    b"0903000001,prepaid,active,20000,0,An,1 Hang Dao,1,,vi\n"
    b'84903000002,postpaid,blocked,,300000,"Minh, A",,6,a@b.example,en\n0903000001,x,y\n'
)
NOTIFICATION = (
    b'{"notification_id": "n-1", "payment_id": "p-1", "result": "authorised",'
    b' "amount_vnd": 100000, "masked_card": "411111******1111", "at": 1790000000000}'
)
ANSWERS = (
    b'{"gateway_ref": "g-1", "redirect_url": "https://gateway.example/pay/1"}',
    b'{"payment_id": "p-1", "result": "declined", "code": "51", "amount_vnd": 1}',
    b'{"code": "payment_unknown"}',
    b'{"voided": true}',
)


def some(octets):
    """As `Bites.some` reads it."""
    return bytes((len(octets),)) + octets


def text(words):
    return some(words.encode()[:255])


def _session():
    bind = bytes((0, 0, 1))
    for pdu in FRAMES:
        command, status, body = int.from_bytes(pdu[4:8]), 0, pdu[16:]
        if command in COMMANDS and len(body) < 256:
            yield bind + bytes((5, 0, 1, 2, COMMANDS.index(command), status)) + some(body)
    yield bind + bytes((5, 7, 40, 7, 10, 7, 10, 5, 8, 3, 1, 7, 20, 9, 1, 7, 200, 9, 2))


def _messages():
    head = bytes((0, 0, 1, 0, 1, 0))
    address = some(b"84903000001") + some(b"1566")
    for coding, payload in ((0, b"DK"), (2, "Đăng ký".encode("utf-16-be"))):
        yield bytes((0, 0, coding)) + head[2:] + address + bytes((0, 0, 0, 0)) + payload
    joined = b"\x05\x00\x03\x07\x02\x01"
    yield bytes((0, 0x40, 0, 0)) + head[2:] + address + bytes((0, 0, 0, 0)) + joined + b"KT"
    receipt = b"id:1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:"
    yield bytes((0, 4, 0, 0)) + head[2:] + address + bytes((0, 0, 0, 0)) + receipt


def _ussd_messages():
    tags = tuple(TlvTag)
    screen = bytes((0, 0, 1)) + text("1 Dang ky\n2 Huy")
    address = some(b"84903000001") + some(b"1566")
    for op, dialled in ((1, b"*1566#"), (18, b"1"), (2, b"1"), (17, b"")):
        tlvs = bytes((0, 0, 2))
        for tag, value in (
            (TlvTag.USSD_SERVICE_OP, bytes((op,))),
            (TlvTag.ITS_SESSION_INFO, b"\5\2"),
        ):
            tlvs += bytes((tags.index(tag),)) + some(value)
        yield screen + bytes((0, 0, 0, 1, 0, 1, 0)) + address + tlvs + b"\0" + dialled


def _rules():
    for kind in range(len(KINDS)):
        yield bytes((kind, 1, 0))
        yield bytes((kind, 1, 1, 0, 9, 2)) + some(b"-1")
        yield bytes((kind, 1, 2, 0, 20, 2)) + some(b'["x"]') + bytes((0, 30, 0))
        yield bytes((kind, 0)) + b"a = " + b"[" * 1_500
        # As many hexadecimal digits as can't be shown as decimal ones any more.
        yield bytes((kind, 0)) + b"a = { text = 'x', parts = 0x" + b"f" * 2_000 + b" }"
    few = b'"a" = "{number} {amount_vnd}"\n"list.more" = "va {n}"\n[b]\nc = { text = "x" }\n'
    yield bytes((KINDS.index("messages"), 0)) + few


def _gateways():
    for at, (name, _) in enumerate(GATEWAYS):
        parts = bytes((at, 0)) + text("1 \"<Dang> & 'ky'\n2 x") + b"\1"
        path = text("s1") + text("start") if name == "shouldclose" else b""
        yield parts + path + some(b"") + text("") + GATEWAY_BODIES[name]


def _mqtt():
    for door, ops in OPS.items():
        for op in ops:
            body = JSON[op].replace(b"{", b'{"op": "%b", ' % op.encode(), 1)
            yield bytes((DOORS.index(door), 1)) + b"\0\0" + body
    body = b'{"op": "show", "reply_to": "answers/9", "correlation_id": 7, "call_id": "a"}'
    yield bytes((0, 0)) + b"\0\0" + body


def _voice():
    heads = b"agi_callerid: 0903000001\nagi_language: vi_VN\nagi_arg_1: a.1\nagi_arg_2: 1566\n\n"
    for script in range(len(SCRIPTS)):
        said = b"200 result=0\n" * 6 + b"200 result=49 endpos=8000\n" * 3 + b"HANGUP\n"
        answers = bytes((2, 1, 0, 9, 5, 2, 0, 0, 9, 5))
        yield some(bytes((3, 3, 40, 3))) + bytes((script,)) + some(answers) + b"\1" + heads + said


def _calls():
    kinds = ("offer", "consent", "answered", "progress", "ended")
    for at, kind in enumerate(kinds):
        body = JSON[kind] if kind == "offer" else JSON[kind].replace(b'"call_id": "a-1", ', b"")
        yield bytes((at,)) + text("a-1") + b"\0" + body
    yield bytes((0,)) + text("") + b"\1call_id=a-1&caller=0903000001&dialled=1566&at=1790000000"
    yield bytes((3,)) + text("a-1") + b"\1used_seconds=1e3"
    yield bytes((2,)) + text("a-1") + b"\1at=1e999999"


SEEDS = {
    "framing": lambda: [some(bytes((0, 3, 16, 2))) + b"".join(FRAMES[at::5]) for at in range(5)],
    "pdu": lambda: (
        bytes((COMMANDS.index(int.from_bytes(pdu[4:8])), pdu[11])) + pdu[12:16] + pdu[16:]
        for pdu in FRAMES
    ),
    "session": _session,
    "incoming": _messages,
    "gsm": lambda: (
        bytes((at % 7, at % len(ALPHABETS), at % 2)) + words.encode() * (1 + 9 * (at % 3))
        for at, words in enumerate(TEXTS)
    ),
    "keywords": lambda: (
        bytes((code,)) + words.encode() for words in TEXTS for code in range(len(CODES) - 2)
    ),
    "numbers": lambda: (
        b"\0\0\0\0" + words
        for words in (
            b"0903000001",
            b"+84 (0) 903.000.001",
            b"84903000001;0912345678 1566",
            b"01201234567",
            "０９０３０００００１".encode(),
            b"0084 903 000 001, abc",
            b"+44123456789",
        )
    ),
    "templates": lambda: (
        bytes((parts,)) + text(words) + bytes(range(60))
        for parts, words in enumerate(
            ("{amount_vnd}", "Den {until} con {balance}", "{numbers}", "{{a}} {typed} {n}", "{x")
        )
    ),
    "ussd_menu": lambda: (
        bytes((182, language, 1)) + text(dialled) + bytes((1, 0, 2, 1, 0, 1, 1, 1, 3)) + text("09")
        for language in (0, 1)
        for dialled in ("1", "2*0903000001", "", "7")
    ),
    "ussd_gateways": _gateways,
    "ussd_smpp": _ussd_messages,
    "agi": _voice,
    "call_bodies": _calls,
    "voicexml": lambda: (
        some(posted) + b"12*#" + text("consent?call_id=a&repeat=1") + b"\0" + text("A'\"<&>") * 3
        for posted in (b"result=digit&digit=1", b"result=silence", b"result=hangup&digit=")
    ),
    "mqtt": _mqtt,
    "notification": lambda: (
        some(b"n-1") + some(b"1790000000") + some(b"v1,abc v1,ZGVm") + text("n-1") + body
        for body in (NOTIFICATION, NOTIFICATION.replace(b"authorised", b"declined"))
    ),
    "gateway_answers": lambda: (
        bytes((at, 0)) + body
        for at, body in enumerate((*ANSWERS, b'{"x": ' + b"[" * 1_900, b"[" * 1_900))
    ),
    "pay_form": lambda: (
        text(amount) + b"number=0903000001&purpose=bill&amount=1.000.000&card=domestic&invoice=1"
        b"&email=a%40b.example&key=aaaaaaaaaaaaaaaaaaaaaaaa"
        for amount in ("500k", "1tr", "1 000 000 đ", "1.5", "１０００")
    ),
    "bank_file": lambda: (b"\0" + BANK, b"\1" + BANK, b"\0trailer,0,0\n"),
    "subscribers": lambda: (b"\0" + SUBSCRIBER_LINES, b"\1msisdn,kind,state"),
    "settings": lambda: (
        b"\1\0",
        b"\1\1\0\5\2" + some(b"0"),
        b"\1\2\0\x0f\2" + some(b'["x"]') + b"\0\x20\0",
        b"\0[http]\nport = 99999\n[smpp]\nlinks = 1\n",
    ),
    "rule_files": _rules,
}


def write():
    """Write the seeds of all targets, and nothing else."""
    assert SEEDS.keys() == TARGETS.keys()
    for name, made in SEEDS.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for at, octets in enumerate(chain(made(), (b"",))):
            (folder / f"seed-{at:02d}").write_bytes(octets[: TARGETS[name].bytes_max])


if __name__ == "__main__":
    write()
