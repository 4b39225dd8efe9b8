"""Gateways of others, by the shipped profiles: what each posts, and what it is answered."""

import base64
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telcod.errors import Overloaded, StoreFull, Unavailable
from telcod.settings import shipped_config_dir
from telcod.types import Answer
from telcod.web.scopes import Scope
from tests.ussd.scripted import Scripted, client_of, problem, screen
from ussd.gateway_file import load_profiles
from ussd.gateways import TRY_LATER, routes

pytestmark = pytest.mark.rule("USSD-2")

PROFILES = load_profiles(shipped_config_dir() / "ussd" / "gateways")
ROUTES = routes(PROFILES)
AFRICA = "/ussd/gateway/africastalking"
FREEFLOW = "/ussd/gateway/freeflow"
SHOULD = "/ussd/gateway/shouldclose/session/s-1"
RESTCOMM = "/ussd/gateway/restcomm"
YATE = "/ussd/gateway/yate"
DIALS = {
    "sessionId": "ATUid_1",
    "serviceCode": "*1566#",
    "phoneNumber": "+84903000001",
    "networkCode": "45201",
    "text": "",
}
BEGIN = """<?xml version="1.0" encoding="UTF-8" ?>
<dialog type="Begin" appCntx="networkUnstructuredSsContext_version2" networkId="0" localId="12"
 remoteId="13" mapMessagesSize="1" returnMessageOnError="false">{origin}
<processUnstructuredSSRequest_Request invokeId="3" dataCodingScheme="15" string="*1566#">{msisdn}
</processUnstructuredSSRequest_Request></dialog>"""
MSISDN = '<msisdn nai="international_number" npi="ISDN" number="84903000001"/>'
ORIGIN = '<originationReference number="84903000001" nai="international_number" npi="ISDN"/>'
CONTINUE = """<dialog type="Continue" localId="12" remoteId="13" mapMessagesSize="1"{more}>
<unstructuredSSRequest_Response invokeId="0" dataCodingScheme="15" string="{typed}"/></dialog>"""


@pytest.fixture(scope="module")
def served():
    """Books and who asks them; making an application takes longer than most tests here."""
    backend = Scripted()
    with client_of(backend, ROUTES) as client:
        yield backend, client


@pytest.fixture
def backend(served):
    return served[0].forget()


@pytest.fixture
def client(served):
    return served[1]


def told(response):
    """Body and kind of a good answer."""
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.text, response.headers["content-type"]


# ------------------------------------------------------------------------------ Africa's Talking


def test_africas_talking_begins_with_an_empty_text_and_hears_con(client, backend):
    assert told(client.post(AFRICA, data=DIALS)) == (
        "CON 1 Goi cuoc\n2 Danh sach",
        "text/plain; charset=utf-8",
    )
    assert backend.heard == ("gw:ATUid_1", "*1566#", "", "-1", "all")
    assert backend.asked[-1].sender == 84903000001


def test_africas_talking_sends_all_inputs_and_hears_end(client, backend):
    backend.says = screen("Xong", ends=True)
    response = client.post(AFRICA, data=DIALS | {"text": "1*2*0903000002"})
    assert told(response)[0] == "END Xong"
    assert backend.heard == ("gw:ATUid_1", "*1566#", "1*2*0903000002", "-1", "all")


@pytest.mark.rule("USSD-3")
@pytest.mark.parametrize("known", ["ussd.ended", "ussd.unknown"])
def test_africas_talking_tells_the_end_and_hears_nothing(client, backend, known):
    backend.says = Answer(known)
    over = {
        "date": "2026-03-02 10:00:00",
        "sessionId": "ATUid_1",
        "phoneNumber": "+84903000001",
        "status": "Incomplete",
        "durationInMillis": "4000",
        "input": "1*2",
    }
    assert told(client.post(AFRICA, data=over))[0] == ""
    assert (backend.asked[-1].route, backend.heard) == ("ussd.end", ("gw:ATUid_1",))


# --------------------------------------------------------------------------------------- freeflow


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("dialled", ["1566", "*1566#", "1566*1"])
def test_freeflow_says_what_was_dialled_where_it_says_what_was_typed(
    client, backend, method, dialled
):
    said = {"SessionID": "13", "MSISDN": "84903000001", "MSC": "1", "input": dialled}
    response = client.request(method, FREEFLOW, **{"params" if method == "GET" else "data": said})
    assert told(response) == ("1 Goi cuoc\n2 Danh sach", "text/plain; charset=utf-8")
    assert response.headers["freeflow"] == "FC"
    assert response.headers["charge"] == "N"
    code = f"*{dialled.strip('*#')}#"
    assert backend.heard == ("gw:13", code, dialled, "-1", "last")


def test_freeflow_ends_by_its_header(client, backend):
    backend.says = screen("Xong", ends=True)
    said = {"SessionID": "13", "MSISDN": "84903000001", "MSC": "1", "input": "Nam Anh"}
    response = client.get(FREEFLOW, params=said)
    assert (told(response)[0], response.headers["freeflow"]) == ("Xong", "FB")
    assert backend.heard == ("gw:13", "", "Nam Anh", "-1", "last")


@pytest.mark.rule("USSD-3")
def test_freeflow_cleans_a_session_up(client, backend):
    backend.says = Answer("ussd.ended")
    said = {"SessionID": "13", "msisdn": "84903000001", "clean": "clean-session", "error": "522"}
    assert told(client.get(FREEFLOW, params=said))[0] == ""
    assert (backend.asked[-1].route, backend.heard) == ("ussd.end", ("gw:13",))


# ------------------------------------------------------------------------------------ shouldClose


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_should_close_starts_and_goes_on(client, backend, method):
    said = {"msisdn": "84903000001", "text": "*1566#", "shortCode": "*1566#", "imsi": None}
    response = client.request(method, f"{SHOULD}/start", json=said)
    assert told(response)[1] == "application/json"
    assert response.json() == {
        "shouldClose": False,
        "ussdMenu": "1 Goi cuoc\n2 Danh sach",
        "responseExitCode": 200,
        "responseMessage": "",
    }
    assert backend.heard == ("gw:s-1", "*1566#", "", "-1", "new")
    client.request(method, f"{SHOULD}/response", json=said | {"text": "2"})
    assert backend.heard == ("gw:s-1", "*1566#", "2", "-1", "last")


def test_should_close_may_leave_the_code_out(client, backend):
    client.post(f"{SHOULD}/start", json={"msisdn": 84903000001, "text": ""})
    assert backend.heard == ("gw:s-1", "*1566#", "", "-1", "new")


def test_should_close_is_told_when_to_close_and_tells_the_end(client, backend):
    backend.says = screen('Tro "lai"\\', ends=True)
    response = client.post(f"{SHOULD}/response", json={"msisdn": "0903000001", "text": "1"})
    assert (response.json()["shouldClose"], response.json()["ussdMenu"]) == (True, 'Tro "lai"\\')
    backend.says = Answer("ussd.ended")
    response = client.post(f"{SHOULD}/end", json={"exitCode": 500, "reason": "user left"})
    assert response.json() == {"responseExitCode": 200, "responseMessage": ""}
    assert backend.asked[-1].route == "ussd.end"


def test_an_event_that_nobody_knows_is_named(client, backend):
    said = {"msisdn": "0903000001", "text": "1"}
    problem(client.post(f"{SHOULD}/pause", json=said), 400, "event")
    assert backend.asked == []


# --------------------------------------------------------------------------------------- RestComm


def parsed(text):
    return ET.fromstring(text)  # noqa: S314  # what telcod itself has written


def dialog(response):
    """The dialog of an answer, its one message, and the message's name."""
    text, kind = told(response)
    assert kind == "text/xml; charset=utf-8"
    root = parsed(text)
    (message,) = root
    assert (root.tag, root.get("mapMessagesSize")) == ("dialog", "1")
    assert message.get("dataCodingScheme") == "15"
    return root, message, message.tag


@pytest.mark.parametrize(("msisdn", "origin"), [(MSISDN, ""), ("", ORIGIN)])
def test_restcomm_begins_once_says_who_once_and_ends_with_the_first_invocation(
    client, backend, msisdn, origin
):
    begun = client.post(RESTCOMM, content=BEGIN.format(msisdn=msisdn, origin=origin))
    root, message, name = dialog(begun)
    assert (name, message.get("string")) == (
        "unstructuredSSRequest_Request",
        "1 Goi cuoc\n2 Danh sach",
    )
    assert root.get("prearrangedEnd") is None
    assert backend.heard == ("gw:12", "*1566#", "", "-1", "new")
    carried = parsed(begun.text).get("userObject")
    assert parse_qs(carried)["invoke_id"] == ["3"]

    more = ET.Element("x", userObject=carried)
    given = ET.tostring(more).decode().removeprefix("<x").removesuffix(" />")
    client.post(RESTCOMM, content=CONTINUE.format(typed="2", more=given))
    assert (backend.heard, backend.asked[-1].sender) == (
        ("gw:12", "*1566#", "2", "-1", "last"),
        84903000001,
    )
    backend.says = screen("Xong", ends=True)
    root, message, name = dialog(
        client.post(RESTCOMM, content=CONTINUE.format(typed="&lt;1&gt;", more=given))
    )
    assert backend.heard[2] == "<1>"
    assert (name, message.get("string"), message.get("invokeId")) == (
        "processUnstructuredSSRequest_Response",
        "Xong",
        "3",
    )
    assert root.get("prearrangedEnd") == "false"


@pytest.mark.rule("USSD-3")
@pytest.mark.parametrize(
    "attributes",
    [
        'type="Abort"',
        'type="End"',
        'type="Unknown" mapAbortProviderReason="InvalidPDU"',
        'type="Unknown" mapRefuseReason="NoReasonGiven"',
        'type="Unknown" mapUserAbortChoice="isUserSpecificReason"',
        'type="Unknown" dialogTimedOut="true"',
        'type="Continue" invokeTimedOut="true"',
    ],
)
def test_restcomm_breaks_off(client, backend, attributes):
    backend.says = Answer("ussd.ended")
    body = f'<dialog {attributes} localId="12" mapMessagesSize="0"><errComponents/></dialog>'
    assert told(client.post(RESTCOMM, content=body))[0] == ""
    assert (backend.asked[-1].route, backend.heard) == ("ussd.end", ("gw:12",))


def test_a_screen_beyond_the_default_alphabet_says_so(client, backend):
    backend.says = screen("Gói cước")
    text, _ = told(client.post(RESTCOMM, content=BEGIN.format(msisdn=MSISDN, origin="")))
    message = parsed(text)[0]
    assert (message.get("dataCodingScheme"), message.get("string")) == ("72", "Gói cước")


@pytest.mark.rule("HTTP-1")
def test_restcomm_must_say_who_it_is_sooner_or_later(client, backend):
    named = "processUnstructuredSSRequest_Request/msisdn/@number"
    problem(client.post(RESTCOMM, content=BEGIN.format(msisdn="", origin="")), 400, named)
    problem(client.post(RESTCOMM, content=CONTINUE.format(typed="1", more="")), 400, named)
    stray = ' userObject="somebody else&apos;s"'
    problem(client.post(RESTCOMM, content=CONTINUE.format(typed="1", more=stray)), 400, named)
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
def test_xml_with_a_document_type_is_refused(client, backend):
    evil = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    body = evil + CONTINUE.format(typed="&x;", more="")
    problem(client.post(RESTCOMM, content=body), 400, "body")
    assert backend.asked == []


# ------------------------------------------------------------------------------------------- Yate


def test_yate_begins_goes_on_ends_and_stops(client, backend):
    first = {
        "id": "gw-101",
        "operation": "pssr",
        "msisdn": "84903000001",
        "code": "*1566#",
        "text": "*1566#",
    }
    response = client.get(YATE, params=first)
    assert told(response) == ("1 Goi cuoc\n2 Danh sach", "text/plain; charset=utf-8")
    assert "operation" not in response.headers
    assert backend.heard == ("gw:gw-101", "*1566#", "", "-1", "new")
    backend.says = screen("Xong", ends=True)
    response = client.get(YATE, params=first | {"operation": "ussr", "text": "2"})
    assert (told(response)[0], response.headers["operation"]) == ("Xong", "pssr")
    assert backend.heard == ("gw:gw-101", "*1566#", "2", "-1", "last")
    backend.says = Answer("ussd.unknown")
    assert told(client.get(YATE, params={"id": "gw-101", "operation": "stop"}))[0] == ""


# ---------------------------------------------------------------------- what a phone, what no phone


FIRSTS = {
    "africastalking": lambda client: client.post(AFRICA, data=DIALS),
    "freeflow": lambda client: client.get(
        FREEFLOW, params={"SessionID": "1", "MSISDN": "0903000001", "input": "1566"}
    ),
    "shouldclose": lambda client: client.post(
        f"{SHOULD}/start", json={"msisdn": "0903000001", "text": ""}
    ),
    "restcomm": lambda client: client.post(
        RESTCOMM, content=BEGIN.format(msisdn=MSISDN, origin="")
    ),
    "yate": lambda client: client.get(
        YATE,
        params={"id": "1", "operation": "pssr", "msisdn": "0903000001", "code": "*1566#"},
    ),
}
ENDS = {
    "africastalking": lambda response: response.text.removeprefix("END "),
    "freeflow": lambda response: response.text * (response.headers["freeflow"] == "FB"),
    "shouldclose": lambda response: response.json()["ussdMenu"] * response.json()["shouldClose"],
    "restcomm": lambda response: (
        parsed(response.text).find("processUnstructuredSSRequest_Response").get("string")
    ),
    "yate": lambda response: response.text * (response.headers["operation"] == "pssr"),
}


def test_every_shipped_profile_is_tried_here():
    assert FIRSTS.keys() == ENDS.keys() == PROFILES.keys()


@pytest.mark.parametrize("name", FIRSTS)
@pytest.mark.parametrize(
    "says",
    [
        Overloaded("full"),
        Unavailable("stops"),
        StoreFull("disk"),
        Answer("ussd.wrong_step", data={"step": 3}),
        Answer("ussd.unknown"),
    ],
    ids=lambda says: getattr(says, "outcome", type(says).__name__),
)
def test_what_happens_before_a_phone_is_a_sentence_on_its_screen(client, backend, name, says):
    backend.says = says
    response = FIRSTS[name](client)
    told(response)
    assert ENDS[name](response) == TRY_LATER


@pytest.mark.parametrize("name", FIRSTS)
def test_no_phone_waits_for_late_books(client, backend, name):
    backend.late = True
    assert ENDS[name](FIRSTS[name](client)) == TRY_LATER


def test_the_sentence_for_a_phone_may_be_the_operators_own():
    backend = Scripted()
    backend.late = True
    with client_of(backend, routes(PROFILES, lambda: "Ban qua")) as client:
        assert client.post(AFRICA, data=DIALS).text == "END Ban qua"


@pytest.mark.rule("KW-4")
def test_a_number_of_another_country_is_nobody_to_the_books(client, backend):
    backend.says = screen("Chi danh cho thue bao MobiFone", ends=True)
    response = client.post(AFRICA, data=DIALS | {"phoneNumber": "+254711000111"})
    assert told(response)[0] == "END Chi danh cho thue bao MobiFone"
    assert backend.asked[-1].sender == 0


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"phoneNumber": ""}, "phoneNumber"),
        ({"phoneNumber": "anonymous"}, "phoneNumber"),
        ({"phoneNumber": "ngan hang 1"}, "phoneNumber"),
        ({"phoneNumber": "9" * 33}, "phoneNumber"),
        ({"sessionId": ""}, "sessionId"),
        ({"sessionId": "a/b"}, "sessionId"),
        ({"sessionId": "x" * 129}, "sessionId"),
        ({"serviceCode": "call me"}, "serviceCode"),
        ({"text": "1" * 501}, "text"),
        ({"text": "\x00"}, "input"),
    ],
)
def test_a_field_that_makes_no_sense_is_named_as_the_gateway_names_it(client, backend, more, field):
    problem(client.post(AFRICA, data=DIALS | more), 400, field)
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
def test_a_field_that_is_missing_or_twice_is_named(client, backend):
    said = {name: value for name, value in DIALS.items() if name != "phoneNumber"}
    problem(client.post(AFRICA, data=said), 400, "phoneNumber")
    twice = "sessionId=1&sessionId=2&phoneNumber=0903000001"
    problem(client.post(AFRICA, content=twice), 400, "sessionId")
    problem(client.post(AFRICA), 400, "sessionId")
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
def test_a_profile_or_a_method_that_is_not_there_is_told(client):
    problem(client.post("/ussd/gateway/none", data=DIALS), 404)
    problem(client.get(AFRICA, params=DIALS), 405)


# ---------------------------------------------------------------------------------------- who calls


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize("user", ["telcod", "", "người"])
def test_a_token_may_come_as_a_password(client, backend, user):
    assert client.post(AFRICA, data=DIALS, headers=basic(user, "telcod_gw")).status_code == 200
    assert backend.heard[0] == "gw:ATUid_1"


@pytest.mark.rule("HTTP-1", "CLI-7")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        basic("telcod_gw", "other"),
        basic("telcod", ""),
        {"Authorization": "Basic telcod_gw"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Basic " + "A" * 400},
        {"Authorization": "Bearer other"},
    ],
)
def test_who_brings_no_token_is_told_both_ways_to(client, backend, headers):
    response = client.post(f"{AFRICA}?token=telcod_gw", data=DIALS, headers=headers)
    problem(response, 401)
    assert "Basic realm=" in response.headers["www-authenticate"]
    assert "Bearer realm=" in response.headers["www-authenticate"]
    assert backend.asked == []


@pytest.mark.rule("CLI-7")
def test_a_password_is_no_token_on_other_routes(client):
    response = client.get("/admin/v1/status", headers=basic("telcod", "telcod_gw"))
    problem(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="telcod"'


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("scope", list(Scope))
def test_only_gateways_and_administrators_may(scope):
    backend = Scripted()
    with client_of(backend, ROUTES, scope=scope) as client:
        allowed = scope in {Scope.USSD, Scope.ADMIN}
        assert client.post(AFRICA, data=DIALS).status_code == (200 if allowed else 403)


def test_every_profile_is_on_the_openapi_page(client):
    paths = client.get("/schema").json()["paths"]
    assert set(paths[AFRICA]) == {"post"}
    assert set(paths[FREEFLOW]) == {"get", "post"}
    assert "/ussd/gateway/shouldclose/session/{id}/{event}" in paths
    ids = [
        operation["operationId"]
        for path in paths.values()
        for operation in path.values()
        if "operationId" in operation
    ]
    assert len(set(ids)) == len(ids)


# -------------------------------------------------------------------------- no text becomes markup

SCREENS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=SCREENS, ends=st.booleans())
def test_whatever_a_screen_holds_arrives_as_it_is(client, backend, text, ends):
    backend.says = screen(text, ends=ends)
    assert FIRSTS["shouldclose"](client).json()["ussdMenu"] == text
    assert FIRSTS["freeflow"](client).text == text
    message = parsed(FIRSTS["restcomm"](client).text)[0]
    shown = "".join(char if char in "\t\n\r" or char >= " " else " " for char in text)
    assert message.get("string") == shown.replace("\ufffe", " ").replace("\uffff", " ")
