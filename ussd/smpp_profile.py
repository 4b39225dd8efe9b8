"""How one gateway speaks USSD over SMPP, as data, and both directions by it (SMPP-7).  Pure.

Gateways agree on two TLVs, ussd_service_op and its_session_info (SMPP v3.4, 5.3.2.43 and 44), and
on little else: which operation begins, answers and ends, where the number of the session is, how an
end is marked, where the dialled code stands.  A `Profile` says that of one gateway; files of
`config/ussd/smpp` hold them, and a link names its own by `ussd`.

    read(profile, deliver_sm) -> Heard | None        write(profile, ...) -> submit_sm

Nothing that a gateway sends can make `read` raise, and whatever it gives makes a step.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

from telcod.smpp.consts import TlvTag
from telcod.smpp.incoming import message_octets
from telcod.smpp.pdu import DataSm, DeliverSm, SubmitSm
from telcod.smpp.tlv import Tlv, tlv_or_none
from telcod.text import (
    DATA_CODING_DEFAULT,
    DefaultAlphabet,
    decode_short_message,
    encode_gsm7,
    gsm_safe,
    is_gsm7,
    pack,
    pad_with_cr,
)
from ussd.steps import INPUT_CHARS_MAX

DATA_CODING_USSD: Final = 0x0F
"""GSM 7 bit in cell broadcast's scheme (3GPP TS 23.038, 5), which USSD uses; SMPP has no such."""
STEPS_COUNTED_MAX: Final = 0x7F
"""Bits 7 to 1 of its_session_info's second octet are the dialogue's sequence number."""

_END_BIT: Final = 1
_SEQUENCE_MASK: Final = 0xFE
_DIALLED: Final = re.compile(r"\*?[0-9]{1,6}(\*[^#]{0,400})?#?")
_ADDRESS: Final = re.compile(r"[0-9*#]{1,20}")

_Op = Annotated[int, Meta(ge=0, le=255)]
_Ops = tuple[_Op, ...]


class ProfileError(ValueError):
    """A profile that can't be used; `problems` has all that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: Final = tuple(problems)


class HeardOps(msgspec.Struct, frozen=True):
    """`[heard]`: what the operations of a deliver_sm mean.  `end` may be none: then only the end
    bit, or time, ends a session.
    """

    new: _Ops = (1,)
    answer: _Ops = (18,)
    end: _Ops = ()
    confirmed: _Ops = (19,)


class SaidOps(msgspec.Struct, frozen=True):
    """`[said]`: the operations of a submit_sm."""

    ask: _Op = 2
    end: _Op = 17
    notice: _Op = 3


class SessionTerms(msgspec.Struct, frozen=True):
    """`[session]`: what tells one session from another, beside the phone.

    `bits` of its_session_info are the session's number; of 8, the second octet is left for a
    `sequence`: `ours`, which the phone's answer carries back, `theirs`, which we carry back, or
    `none`.  `end_bit`: its last bit says that the session is over, both ways.
    """

    id: Literal["its_session_info", "user_message_reference", "msisdn"] = "its_session_info"
    bits: Literal[8, 15] = 8
    sequence: Literal["none", "ours", "theirs"] = "none"
    end_bit: bool = False


class CodeTerms(msgspec.Struct, frozen=True):
    """`[code]`: where the first deliver_sm has what was dialled."""

    at: Literal["destination_addr", "short_message", "either"] = "either"


class SubmitTerms(msgspec.Struct, frozen=True):
    """`[submit]`: what else a submit_sm says.

    `alphabet` empty is the link's `default_alphabet`.  `source_addr` is `destination_addr`, where
    the deliver_sm went, `dialled`, what was dialled, or an address of its own.
    """

    service_type: Annotated[str, Meta(max_length=5)] = "USSD"
    data_coding: _Op = DATA_CODING_DEFAULT
    alphabet: Literal["", "gsm7", "gsm7-packed", "latin1", "ascii"] = ""
    source_addr: str = "destination_addr"


class Profile(msgspec.Struct, frozen=True):
    """The conventions of one gateway."""

    heard: HeardOps = HeardOps()
    said: SaidOps = SaidOps()
    session: SessionTerms = SessionTerms()
    code: CodeTerms = CodeTerms()
    submit: SubmitTerms = SubmitTerms()

    def counts_steps(self) -> bool:
        """Whether an answer says which screen it answers."""
        terms = self.session
        return terms.id == "its_session_info" and terms.sequence != "none"


class What(StrEnum):
    """What a deliver_sm of USSD means."""

    NEW = "new"
    ANSWER = "answer"
    END = "end"
    CONFIRMED = "confirmed"
    UNKNOWN = "unknown"
    """The profile does not name its operation."""


class Say(StrEnum):
    """What a submit_sm of USSD is for; the names are those of `[said]`."""

    ASK = "ask"
    END = "end"
    NOTICE = "notice"


class Address(NamedTuple):
    """An SMPP address with its type and plan."""

    addr: str
    ton: int
    npi: int


class Peer(NamedTuple):
    """What an answer must carry so that the gateway knows whose and which session's it is.

    `info` is its_session_info as it last came, `reference` user_message_reference; None: none came.
    """

    phone: Address
    ours: Address
    info: int | None = None
    reference: bytes | None = None


class Heard(NamedTuple):
    """A deliver_sm of USSD, read.

    `session` tells this session of the phone from its others; empty when the gateway does not.
    `step` is the screen that is answered, None when the gateway counts none.  `code` is what was
    dialled, in an answer the code that it may belong to, empty when there is none that makes sense.
    """

    what: What
    peer: Peer
    session: str
    step: int | None
    code: str
    text: str


# ---------------------------------------------------------------------------------- from the file


def build(table: Mapping[str, Any]) -> Profile:
    """Make a profile of a parsed file; what is left out has its default.

    Raises:
        ProfileError: With everything that is wrong.
    """
    problems: list[str] = []
    sections: dict[str, Any] = {}
    kinds = get_type_hints(Profile)
    problems += [f"{name}: there is no such table" for name in table.keys() - kinds.keys()]
    for name, kind in kinds.items():
        found = table.get(name, {})
        if isinstance(found, Mapping):
            sections[name] = _section(name, kind, found, problems)
        else:
            problems.append(f"{name}: must be a table")
    if problems:
        raise ProfileError(sorted(problems))
    profile = Profile(**sections)
    problems = _contradictions(profile)
    if problems:
        raise ProfileError(problems)
    return profile


def _section(name: str, kind: Any, found: Mapping[str, Any], problems: list[str]) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    problems += [f"{name}.{key}: there is no such key" for key in found.keys() - hints.keys()]
    values = {}
    for key, hint in hints.items():
        if key not in found:
            continue
        try:
            values[key] = msgspec.convert(found[key], hint)
        except msgspec.ValidationError as error:
            problems.append(f"{name}.{key}: {error}")
    return kind(**values)


def _contradictions(profile: Profile) -> list[str]:
    problems = _heard_problems(profile.heard)
    terms = profile.session
    if terms.id != "its_session_info":
        if terms.sequence != "none":
            problems.append("session.sequence: needs id = its_session_info")
        if terms.end_bit:
            problems.append("session.end_bit: needs id = its_session_info")
    elif terms.bits == 15 and terms.sequence != "none":
        problems.append("session.sequence: 15 bits of number leave no room for it")
    if profile.said.ask == profile.said.end and not terms.end_bit:
        problems.append("said.end: is said.ask, and no end bit tells the two apart")
    source = profile.submit.source_addr
    if source not in ("destination_addr", "dialled") and not _ADDRESS.fullmatch(source):
        problems.append("submit.source_addr: must be destination_addr, dialled or an address")
    if decode_short_message(b"\0A", profile.submit.data_coding) == "A":
        problems.append("submit.data_coding: would have our octets read as UCS-2")
    if not (profile.submit.service_type.isascii() and profile.submit.service_type.isprintable()):
        problems.append("submit.service_type: must be visible ASCII")
    return problems


def _heard_problems(heard: HeardOps) -> list[str]:
    problems = []
    if not heard.new:
        problems.append("heard.new: no operation begins a session")
    if not heard.answer:
        problems.append("heard.answer: no operation answers")
    ops = [(op, name) for name in heard.__struct_fields__ for op in getattr(heard, name)]
    for op in sorted({op for op, _ in ops}):
        names = [name for other, name in ops if other == op]
        if len(names) > 1:
            problems.append(f"heard: operation {op} can't be {' and '.join(names)}")
    return problems


# ------------------------------------------------------------------------------------ what is heard


def read(
    profile: Profile, body: DeliverSm | DataSm, default_alphabet: DefaultAlphabet
) -> Heard | None:
    """Say what a message is, by a profile; None when it is no USSD but a text.

    Args:
        profile: The gateway's.
        body: As received; anything may be in it.
        default_alphabet: The link's.
    """
    op = tlv_or_none(body.tlvs, TlvTag.USSD_SERVICE_OP) if body.tlvs else None
    if op is None:
        return None
    terms = profile.session
    info = _two_octets(tlv_or_none(body.tlvs, TlvTag.ITS_SESSION_INFO))
    reference = tlv_or_none(body.tlvs, TlvTag.USER_MESSAGE_REFERENCE)
    what = _what(profile, op)
    if what is not What.CONFIRMED and terms.end_bit and info is not None and info & _END_BIT:
        what = What.END
    text = _text(profile, body, default_alphabet)
    peer = Peer(
        Address(body.source_addr, body.source_addr_ton, body.source_addr_npi),
        Address(body.destination_addr, body.dest_addr_ton, body.dest_addr_npi),
        info,
        reference,
    )
    step = None
    if what is What.ANSWER and profile.counts_steps() and info is not None:
        step = (info & _SEQUENCE_MASK) >> 1 or None
    code = _code(profile, what, body.destination_addr, text)
    return Heard(what, peer, session_of(profile, info, reference), step, code, text)


def session_of(profile: Profile, info: int | None, reference: bytes | None) -> str:
    """What tells a session from others of its phone: hexadecimal digits, or nothing."""
    terms = profile.session
    if terms.id == "its_session_info" and info is not None:
        return f"{info >> 8:02x}" if terms.bits == 8 else f"{info & ~_END_BIT:04x}"
    if terms.id == "user_message_reference" and reference:
        return reference[-2:].hex()
    return ""


def _what(profile: Profile, op: bytes) -> What:
    heard = profile.heard
    number = op[-1] if op else -1
    for what in (What.NEW, What.ANSWER, What.END, What.CONFIRMED):
        if number in getattr(heard, what):
            return what
    return What.UNKNOWN


def _two_octets(value: bytes | None) -> int | None:
    """its_session_info; one octet alone is the session's number."""
    return int.from_bytes(value[:2].ljust(2, b"\0")) if value else None


def _text(profile: Profile, body: DeliverSm | DataSm, default_alphabet: DefaultAlphabet) -> str:
    """The input without what no phone types: line ends and other controls count as blanks."""
    coding = body.data_coding
    if coding == DATA_CODING_USSD:
        coding = DATA_CODING_DEFAULT
    alphabet: DefaultAlphabet = profile.submit.alphabet or default_alphabet
    text = decode_short_message(message_octets(body), coding, alphabet)
    return "".join(max(char, " ") for char in text).strip()[:INPUT_CHARS_MAX]


def _code(profile: Profile, what: What, destination: str, text: str) -> str:
    at = profile.code.at
    said = (text, destination) if at == "either" else (text,)
    if at == "destination_addr" or what is not What.NEW:
        said = (destination,)
    elif at == "either" and not text.startswith("*"):
        said = (destination,)  # Only what has a star was dialled; a bare text is something else.
    return next((code for code in said if _DIALLED.fullmatch(code)), "")


# ------------------------------------------------------------------------------------- what is said


def write(
    profile: Profile,
    peer: Peer,
    say: Say,
    text: str,
    *,
    step: int,
    code: str,
    default_alphabet: DefaultAlphabet,
    validity_period: str = "",
) -> SubmitSm:
    """Make the submit_sm that shows something in a session.

    Args:
        profile: The gateway's.
        peer: Whose session, as it last came.
        say: Whether an answer is waited for, or this is the end, or a notice.
        text: What is shown; at most 182 septets, which the menu sees to.
        step: What the answer to it must carry, where we count.
        code: What was dialled.
        default_alphabet: The link's.
        validity_period: As `SubmitSm` has it; empty is the gateway's own.
    """
    submit = profile.submit
    ours = peer.ours
    if submit.source_addr == "dialled":
        ours = ours._replace(addr=code[:20] or ours.addr)
    elif submit.source_addr != "destination_addr":
        ours = ours._replace(addr=submit.source_addr)
    return SubmitSm(
        service_type=submit.service_type,
        source_addr_ton=ours.ton,
        source_addr_npi=ours.npi,
        source_addr=ours.addr,
        dest_addr_ton=peer.phone.ton,
        dest_addr_npi=peer.phone.npi,
        destination_addr=peer.phone.addr,
        validity_period=validity_period,
        data_coding=submit.data_coding,
        short_message=_octets(text, submit.alphabet or default_alphabet),
        tlvs=(
            Tlv(TlvTag.USSD_SERVICE_OP, bytes((getattr(profile.said, say),))),
            *_session_tlvs(profile.session, peer, say, step),
        ),
    )


def peer_of_push(profile: Profile, number: int, phone: Address, ours: Address) -> Peer:
    """The other side of a session that we begin, under a number that we choose.

    Of `number` counts what the gateway has room for; it never becomes 0, which may mean none.
    """
    terms = profile.session
    if terms.id == "its_session_info":
        shift = 16 - terms.bits
        return Peer(phone, ours, info=_within(number, terms.bits) << shift)
    if terms.id == "user_message_reference":
        return Peer(phone, ours, reference=_within(number, 16).to_bytes(2))
    return Peer(phone, ours)


def _within(number: int, bits: int) -> int:
    return number % ((1 << bits) - 1) + 1


def _session_tlvs(terms: SessionTerms, peer: Peer, say: Say, step: int) -> tuple[Tlv, ...]:
    if terms.id == "user_message_reference" and peer.reference is not None:
        return (Tlv(TlvTag.USER_MESSAGE_REFERENCE, peer.reference),)
    if terms.id != "its_session_info" or peer.info is None:
        return ()
    info = peer.info
    if terms.sequence == "ours":
        # A dialogue too long to be counted goes on uncounted: 0 is no step that is answered.
        counted = step if step <= STEPS_COUNTED_MAX else 0
        info = info & ~_SEQUENCE_MASK | counted << 1
    if terms.end_bit:
        # A notice's session is over when it is shown.
        info = info & ~_END_BIT | (say is not Say.ASK)
    return (Tlv(TlvTag.ITS_SESSION_INFO, info.to_bytes(2)),)


def _octets(text: str, alphabet: DefaultAlphabet) -> bytes:
    if alphabet in ("latin1", "ascii"):
        return text.encode(alphabet, "replace")
    septets = encode_gsm7(text if is_gsm7(text) else gsm_safe(text, len(text)))
    return pack(pad_with_cr(septets)) if alphabet == "gsm7-packed" else septets
