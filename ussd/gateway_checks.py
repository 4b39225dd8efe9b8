"""What can be wrong with a gateway's profile, beyond the types of its keys.  Pure.

All of it is told at once, each by its key.  Answers are tried with a text that would break a
careless template, so that no screen can.
"""

import re
from collections.abc import Iterable
from string import Template
from typing import Final

import msgspec

from ussd.gateway_fields import BadBody, place_problem, read_xml
from ussd.gateway_profile import (
    GSM7_DCS,
    METHODS,
    NAMED,
    VALUES,
    FieldPlaces,
    Phases,
    Profile,
    Written,
    filled,
    places,
)

# What can't break out of the line of a header.
_HEADER_VALUES: Final = frozenset({"session_id", "step", "data_coding_scheme", "carried"})
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HEADER_VALUE: Final = re.compile(r"[ -~]{0,200}")
_OURS: Final = frozenset({"content-length", "content-type", "transfer-encoding", "connection"})
_PATH: Final = re.compile(r"([A-Za-z0-9{}_.-]+(/[A-Za-z0-9{}_.-]+)*)?")
_NASTY: Final = "a\"'<&>\\\n\t]]>${text}%{}\u1ea1"


def problems(profile: Profile) -> list[str]:
    """All that is wrong; nothing if it can be used."""
    return [
        *_of_path(profile),
        *_of_fields(profile),
        *_of_phases(profile),
        *_of_answers(profile),
    ]


def _of_path(profile: Profile) -> list[str]:
    found = []
    if not _PATH.fullmatch(profile.path):
        found.append("path: takes words of letters, digits, - . _ and names in braces, and slashes")
    elif set("{}") & set(NAMED.sub("", profile.path)):
        found.append("path: a name in braces is of small letters, digits and _")
    elif len(set(profile.path_names)) != len(profile.path_names):
        found.append("path: has a name twice")
    if not profile.methods:
        found.append(f"methods: name some of {', '.join(METHODS)}")
    return found


def _of_fields(profile: Profile) -> list[str]:
    found = []
    for name in FieldPlaces.__struct_fields__:
        where = places(getattr(profile.fields, name))
        found += _of_places(profile, f"fields.{name}", where)
        if name in {"session_id", "msisdn"} and not where:
            found.append(f"fields.{name}: names no place")
    for name, kept in profile.keep.items():
        found += _of_places(profile, f"keep.{name}", places(kept))
        if not (name.isascii() and name.isidentifier()) or name in VALUES:
            found.append(f"keep.{name}: is no name, or one that telcod uses itself")
    if profile.first_input == "dialled" and profile.inputs == "all":
        found.append("first_input: goes with the last input only, not with all")
    return found


def _of_phases(profile: Profile) -> list[str]:
    found = []
    for phase in Phases.__struct_fields__:
        conditions = getattr(profile.phases, phase)
        where = (condition.partition("=")[0] for condition in conditions)
        found += _of_places(profile, f"phases.{phase}", where)
    return found


def _of_places(profile: Profile, key: str, where: Iterable[str]) -> list[str]:
    told = (place_problem(place, profile.body, profile.path_names) for place in where)
    return [f"{key}: {problem}" for problem in told if problem]


def _of_answers(profile: Profile) -> list[str]:
    found = []
    for key, written in (
        ("continue", profile.answer.goes_on),
        ("end", profile.answer.ends),
        ("closed", profile.answer.closed),
    ):
        wrong = [*_of_templates(profile, written), *_of_headers(written)]
        if not wrong and written.body:
            wrong = _broken(profile, written)
        found += [f"answer.{key}.{problem}" for problem in wrong]
    for key, written in (("continue", profile.answer.goes_on), ("end", profile.answer.ends)):
        if "text" not in _names(written.body):
            found.append(f"answer.{key}.body: shows no ${{text}}")
    if profile.answer.form == "json" and profile.charset != "utf-8":
        found.append("charset: JSON is utf-8")
    return found


def _of_templates(profile: Profile, written: Written) -> list[str]:
    found = []
    known = (*VALUES, *profile.keep)
    headers = ((f"headers.{name}", value) for name, value in written.headers.items())
    for key, template in (("body", written.body), *headers):
        if not Template(template).is_valid():
            found.append(f"{key}: a $ stands alone; write $$ for one")
        elif unknown := sorted(set(_names(template)) - set(known)):
            found.append(f"{key}: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return found


def _of_headers(written: Written) -> list[str]:
    found = []
    for name, value in written.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            found.append(f"headers.{name}: is no header that a profile may set")
        if not _HEADER_VALUE.fullmatch(value):
            found.append(f"headers.{name}: takes visible ASCII characters")
        if set(_names(value)) - _HEADER_VALUES:
            allowed = ", ".join(sorted(_HEADER_VALUES))
            found.append(f"headers.{name}: a header can hold {allowed} only")
    return found


def _names(template: str) -> list[str]:
    found = Template(template)
    return found.get_identifiers() if found.is_valid() else []


def _broken(profile: Profile, written: Written) -> list[str]:
    values = dict.fromkeys((*VALUES, *profile.keep), _NASTY)
    values |= {"step": "1", "data_coding_scheme": str(GSM7_DCS)}
    body = filled(profile.answer.form, written, values).body
    try:
        if profile.answer.form == "json":
            msgspec.json.decode(body)
        elif profile.answer.form == "xml":
            read_xml(body.encode())
    except (msgspec.DecodeError, BadBody) as error:
        return [f"body: is no {profile.answer.form} when a text is filled in: {error}"]
    return []
