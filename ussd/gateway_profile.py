"""How one kind of gateway speaks, as data: what it asks, and how it wants to be answered (USSD-2).
Pure.

A profile is a file of `config/ussd/gateways/`.  `heard` finds in a request what every dialect says:
whose session, what was dialled, what was typed, whether it begins, goes on or is over.  `written`
fills an answer's template, escaped for what the answer is, so that no text becomes markup.

Some gateways say a thing once and never again: who it is, the number of an invocation.  If they
give back a field of ours (`carried`), it goes there, and telcod need not remember it.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from string import Template
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta

from telcod.text import is_gsm7
from ussd.gateway_fields import BadBody, BodyForm, Fields
from ussd.steps import INPUT_CHARS_MAX, SESSION_ID_CHARS_MAX, Shown, Step

GSM7_DCS: Final = 15
UCS2_DCS: Final = 72
CARRIED_CHARS_MAX: Final = 1_000
METHODS: Final = ("GET", "POST", "PUT")
# What an answer can be made of; what is kept of a request comes on top.
VALUES: Final = (
    "text",
    "session_id",
    "msisdn",
    "service_code",
    "step",
    "data_coding_scheme",
    "carried",
)

NAMED: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_DIALLED: Final = re.compile(r"\*[0-9]{1,6}(\*[^#]*)?#?|[0-9]{1,6}(\*[^#]*)?#")
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML: Final = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&apos;",
        "\n": "&#10;",
        "\r": "&#13;",
        "\t": "&#9;",
    }
)

_Texts = tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...]
Places = Annotated[str, Meta(min_length=1, max_length=200)] | _Texts


class Phase(StrEnum):
    """What a request says of its dialogue; `STEP` when the gateway does not say."""

    NEW = "new"
    NEXT = "next"
    CLOSE = "close"
    STEP = "step"


class _Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a profile."""


class FieldPlaces(_Data, frozen=True, kw_only=True):
    """Where each field is; of several places, the first that holds something.

    `carried` is where the gateway gives back what the answer's `${carried}` gave it.
    """

    session_id: Places
    msisdn: Places
    service_code: Places = ()
    input: Places = ()
    carried: Places = ()


class Phases(_Data, frozen=True, kw_only=True):
    """By what a request is known as one that begins, goes on, or ends; the last is asked first.

    Each is `place=value` or, for a place that only has to be there, `place`.
    """

    new: _Texts = ()
    next: _Texts = ()
    close: _Texts = ()


class Written(_Data, frozen=True, kw_only=True):
    """A template of an answer; see `VALUES` for what may stand in `${…}`."""

    body: str = ""
    headers: Mapping[str, str] = {}


class Answers(_Data, frozen=True, kw_only=True, rename={"goes_on": "continue", "ends": "end"}):
    """The answers: the dialogue goes on, ends, or was closed by the gateway.

    `form` is what a body is, and how a text in it is escaped.
    """

    form: Literal["text", "json", "xml"] = "text"
    content_type: Annotated[str, Meta(pattern=r"^[a-z]+/[a-z0-9.+-]+$")] = "text/plain"
    goes_on: Written
    ends: Written
    closed: Written = Written()


class Profile(_Data, frozen=True, kw_only=True):
    """A gateway's conventions.

    `inputs` is whether its input is the last one or all of them, joined by `*`; `first_input`
    whether a first one may be what was dialled.  `service_code` is what was dialled if it never
    says.  `path` follows the profile's own, with names in braces.
    """

    about: str = ""
    methods: tuple[Literal["GET", "POST", "PUT"], ...] = ("POST",)
    path: Annotated[str, Meta(max_length=200)] = ""
    body: BodyForm = "form"
    charset: Literal["utf-8", "iso-8859-1", "us-ascii"] = "utf-8"
    inputs: Literal["last", "all"] = "last"
    first_input: Literal["typed", "dialled"] = "typed"
    service_code: Annotated[str, Meta(pattern=r"^(\*[0-9]{1,6}(\*[^#]{0,100})?#)?$")] = ""
    fields: FieldPlaces
    keep: Mapping[str, Places] = {}
    phases: Phases = Phases()
    answer: Answers

    @property
    def path_names(self) -> list[str]:
        """The names in `path`."""
        return NAMED.findall(self.path)


class Heard(NamedTuple):
    """What a gateway said.

    `said` is None when the dialogue is over; `values` are what an answer may be made of.
    """

    phase: Phase
    session_id: str
    said: Step | None
    values: Mapping[str, str]


def heard(profile: Profile, fields: Fields) -> Heard:
    """What a request says.

    Raises:
        BadBody: A field is missing or makes no sense.
    """
    phase = _phase(profile.phases, fields)
    session_id = _whole(profile.fields.session_id, fields, SESSION_ID_CHARS_MAX)
    if not session_id:
        raise BadBody("is missing", field=_shown_name(profile.fields.session_id))
    if phase is Phase.CLOSE:
        return Heard(phase, session_id, None, {"session_id": session_id})
    carried = _carried(profile, fields)
    kept = {
        name: fields.first(places(where)) or carried.get(name, "")
        for name, where in profile.keep.items()
    }
    msisdn = _whole(profile.fields.msisdn, fields, 32) or carried.get("msisdn", "")
    if not any(char.isdecimal() for char in msisdn):
        raise BadBody("holds no number", field=_shown_name(profile.fields.msisdn))
    code = _whole(profile.fields.service_code, fields, 420) or carried.get("service_code", "")
    typed = _whole(profile.fields.input, fields, INPUT_CHARS_MAX)
    code, typed = _dialled(profile, phase, code, typed)
    said = Step(msisdn=msisdn, service_code=code or profile.service_code, input=typed)
    known = {"msisdn": msisdn, "service_code": code, **kept}
    to_carry = urlencode({name: value for name, value in known.items() if value})
    values = {**known, "session_id": session_id, "carried": to_carry}
    return Heard(phase, session_id, said, values)


def answered(profile: Profile, values: Mapping[str, str], shown: Shown) -> Written:
    """What a gateway is answered: body and headers, filled in."""
    written = profile.answer.ends if shown.ends else profile.answer.goes_on
    return filled(
        profile.answer.form,
        written,
        {
            **values,
            "text": shown.text,
            "step": str(shown.step),
            "data_coding_scheme": str(GSM7_DCS if is_gsm7(shown.text) else UCS2_DCS),
        },
    )


def closed(profile: Profile, values: Mapping[str, str]) -> Written:
    """What a gateway is answered that said that a dialogue is over."""
    return filled(profile.answer.form, profile.answer.closed, values)


def places(where: Places) -> tuple[str, ...]:
    """One place or several."""
    return (where,) if isinstance(where, str) else where


def _phase(phases: Phases, fields: Fields) -> Phase:
    for phase, conditions in (
        (Phase.CLOSE, phases.close),
        (Phase.NEW, phases.new),
        (Phase.NEXT, phases.next),
    ):
        if any(_holds(condition, fields) for condition in conditions):
            return phase
    if phases.new and phases.next:
        known = ", ".join((*phases.new, *phases.next, *phases.close))
        raise BadBody(f"says none of {known}", field=_shown_name(phases.new[0].partition("=")[0]))
    return Phase.STEP


def _holds(condition: str, fields: Fields) -> bool:
    where, equals, value = condition.partition("=")
    found = fields.get(where)
    if found is None:
        return False
    return not equals or found.strip().lower() == value.lower()


def _whole(where: Places, fields: Fields, chars_max: int) -> str:
    """A field, or nothing; not a part of it.

    Raises:
        BadBody: It is too long.
    """
    found = fields.first(places(where)) or ""
    if len(found) > chars_max:
        raise BadBody(f"is longer than {chars_max} characters", field=_shown_name(where))
    return found


def _carried(profile: Profile, fields: Fields) -> dict[str, str]:
    """What an earlier answer of ours gave the gateway to give back."""
    text = fields.first(places(profile.fields.carried)) or ""
    if not text or len(text) > CARRIED_CHARS_MAX:
        return {}
    try:
        return dict(parse_qsl(text, max_num_fields=32))
    except ValueError:
        return {}  # Somebody else's; what is missing is told then.


def _dialled(profile: Profile, phase: Phase, code: str, typed: str) -> tuple[str, str]:
    """What was dialled, and what was typed, of a gateway that puts one where the other goes."""
    if profile.first_input == "dialled" and phase is Phase.STEP:
        # Whether it is the first is known to the books alone; they look at a code only then.
        bare = re.fullmatch(r"[0-9]{1,6}(\*[^#]*)?", typed)
        if not code and (bare or _DIALLED.fullmatch(typed)):
            return f"*{typed.strip('*#')}#", typed
    if phase is Phase.NEW and typed:
        if typed == code:
            return code, ""
        if _DIALLED.fullmatch(typed):
            return typed, ""
    return code, typed


def _shown_name(where: Places) -> str:
    """What the gateway calls a field."""
    name = next(iter(places(where)), "body")
    return name.partition(":")[2] or name


def filled(form: str, written: Written, values: Mapping[str, str]) -> Written:
    """A template with its values, escaped for what the body is."""
    escaped = {name: _ESCAPES[form](value) for name, value in values.items()}
    return Written(
        body=Template(written.body).safe_substitute(escaped),
        headers={
            name: Template(value).safe_substitute(values) for name, value in written.headers.items()
        },
    )


def _plain(text: str) -> str:
    return text


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _in_xml(text: str) -> str:
    return _NOT_IN_XML.sub(" ", text).translate(_XML)


_ESCAPES: Final = {"text": _plain, "json": _in_json, "xml": _in_xml}
