"""What phones type and USSD gateways send, by every profile that is shipped."""

from xml.parsers import expat

import msgspec

from telcod.msisdn import NumberError, parse
from telcod.settings import shipped_config_dir
from telcod.smpp.pdu import encode
from telcod.text import is_gsm7, septets
from tests.fuzz.bites import Bites, check_words
from tests.fuzz.smpp_targets import ALPHABETS, message
from tests.ussd.menus import LANGUAGES, ROUTES, shipped_menu, speaker
from ussd.gateway_fields import BadBody, read_fields
from ussd.gateway_file import load_profiles as load_gateways
from ussd.gateway_profile import answered, closed, heard
from ussd.menu import Place, Show
from ussd.screens import SCREEN_SEPTETS, SCREEN_SEPTETS_MIN
from ussd.smpp_files import load_profiles as load_smpp
from ussd.smpp_profile import Say, What, peer_of_push, read, write
from ussd.steps import (
    INPUT_CHARS_MAX,
    SESSION_ID_CHARS_MAX,
    BadStep,
    Shown,
    Step,
    dialled,
    end_request,
    step_request,
)

FOLDER = shipped_config_dir() / "ussd"
GATEWAYS = tuple(sorted(load_gateways(FOLDER / "gateways").items()))
SMPP = tuple(load_smpp(FOLDER / "smpp", FOLDER / "none").values())
SCREENS_MAX = 60
MENU = shipped_menu()


# -- the menu


def ussd_menu(data):
    """Whatever is dialled and typed, a screen fits the phone, or a route of the menu is run."""
    bites = Bites(data)
    room = SCREEN_SEPTETS_MIN + bites.below(SCREEN_SEPTETS - SCREEN_SEPTETS_MIN + 1)
    who = speaker(bites.one_of(LANGUAGES), room)
    did = MENU.begin([bites.text() for _ in range(bites.below(5))], who)
    for _ in range(SCREENS_MAX):
        _check_shown(did, room)
        if not bites.left:
            return
        kept = msgspec.json.decode(msgspec.json.encode(did.place), type=Place)
        assert kept == did.place
        if not isinstance(did, Show):
            did = MENU.result(did.place, bites.text(), who)
        elif did.ends:
            return
        elif bites.below(12) == 0:
            assert isinstance(MENU.worth_resuming(did.place), bool)
            did = MENU.offer_resume(did.place, who)
        else:
            # Mostly keys, for whoever types only letters stays where he is.
            typed = bites.text() if bites.flag() else str(bites.below(10))
            did = MENU.step(did.place, typed, who)


def _check_shown(did, room):
    if isinstance(did, Show):
        assert is_gsm7(did.text)
        assert septets(did.text) <= room
        return
    assert did.route in ROUTES
    for arg in did.args:
        arg.encode()


# -- gateways over HTTP


def ussd_gateways(data):
    """A gateway's request is a step or is refused with its reason; no screen breaks an answer."""
    bites = Bites(data)
    name, profile = bites.one_of(GATEWAYS)
    shown = Shown("end" if bites.flag() else "continue", bites.text(), bites.uint())
    path = {part: bites.text() for part in profile.path_names}
    query, headers = bites.some(), {"x-session": bites.text()}
    try:
        fields = read_fields(
            query=query,
            headers=headers,
            path=path,
            body=bites.rest(),
            form=profile.body,
            charset=profile.charset,
        )
        said = heard(profile, fields)
    except BadBody as error:
        check_words(f"{error.field}: {error}")
        check_words(error.field)
        return
    try:
        if said.said is None:
            end_request(said.session_id, platform=name)
        else:
            _check_step(said.session_id, said.said, platform=name)
    except BadStep as error:
        check_words(f"{error.field}: {error}")
        return
    written = (
        closed(profile, said.values) if said.said is None else answered(profile, said.values, shown)
    )
    _check_written(profile, written)


def _check_step(session_id, step, *, platform):
    number = parse(step.msisdn)
    request = step_request(
        session_id,
        step,
        platform=platform,
        sender=0 if isinstance(number, NumberError) else number,
    )
    assert 1 <= len(session_id) <= SESSION_ID_CHARS_MAX
    assert session_id.isascii()
    assert len(step.input) <= INPUT_CHARS_MAX
    for arg in request.args:
        arg.encode()
    dialled(request.args[1])


def _check_written(profile, written):
    """An answer is what its profile says it is, and its headers are headers."""
    for value in written.headers.values():
        assert value.isascii()
        assert value.isprintable()
    if not written.body:
        return
    if profile.answer.form == "json":
        msgspec.json.decode(written.body)
    elif profile.answer.form == "xml":
        expat.ParserCreate().Parse(written.body.encode(profile.charset, "xmlcharrefreplace"), True)


# -- gateways over SMPP


def ussd_smpp(data):
    """A message is USSD or none, by every profile; what it leads to can be sent back."""
    bites = Bites(data)
    alphabet, say, step = bites.one_of(ALPHABETS), bites.one_of(tuple(Say)), bites.uint()
    text = bites.text()[: SCREEN_SEPTETS // 2]
    body = message(bites)
    for profile in SMPP:
        found = read(profile, body, alphabet)
        if found is None:
            continue
        assert found.what in set(What)
        _check_step("1", Step("0903000001", found.code, found.text, found.step), platform="smpp")
        for peer in (found.peer, peer_of_push(profile, step, found.peer.phone, found.peer.ours)):
            answer = write(
                profile,
                peer,
                say,
                text,
                step=step,
                code=found.code,
                default_alphabet=alphabet,
            )
            try:
                encode(answer, sequence_number=1)
            except ValueError:
                # Only an address that a data_sm may have, and a submit_sm may not.
                assert max(len(answer.destination_addr), len(answer.source_addr)) > 20
