"""What the OpenAPI document says of the HTTP interface is true, for good requests and for bad ones.

schemathesis makes requests after the document, and spoils some; each answer must have a status, a
type and a body that the document names, and must be no failure of telcod's.
"""

import re
from hashlib import sha256

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.openapi_daemon import A, B, OpenapiDaemon

# In one process: all need the daemon.
pytestmark = [
    pytest.mark.rule("HTTP-1"),
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("openapi"),
]

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
# Cannot serve, for there is no SMSC; and says so by a status that is above 500.
MAY_BE_UNAVAILABLE = {"/readyz"}
# Let in by a signature instead of a token.
SIGNED = {"/epay/v1/gateway/notifications"}
# One of each door, and of each way to be asked; the thorough run takes all.
SAMPLE = {
    "GET /readyz",
    "GET /metrics",
    "PUT /staff/v1/subscribers/{msisdn}/state",
    "GET /staff/v1/reports/{name}",
    "POST /network/v1/topups",
    "POST /ivr/v1/calls",
    "POST /ivr/v1/calls/{call_id}/ended",
    "POST /ivr/vxml/consent",
    "GET /ivr/vxml/audio/{name}",
    "POST /ussd/v1/sessions/{session_id}",
    "GET /ussd/gateway/freeflow",
    "POST /epay/v1/payments",
    "GET /epay/v1/payments/{payment_id}",
    "POST /epay/v1/gateway/notifications",
    "POST /self/v1/package",
    "DELETE /self/v1/lists/{kind}/{number}",
}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EXAMPLES, EXAMPLES_MANY = 2, 60
# What makes of a well-formed request one that finds something.
KNOWN = {
    "msisdn": (str(A), f"0{A - 84_000_000_000}", str(B)),
    "number": (str(A), str(B)),
    "caller": (str(A),),
    "called": (str(B),),
    "dialled": (f"1566{B}", "1566", str(B)),
    "call_id": ("1", "2"),
    "session_id": ("1", "2"),
    "service_code": ("*1566#", "*1566*2#"),
    "input": ("1", "9", "0903000001"),
    "event_id": ("1", "2"),
    "day": ("20260920", "20260921"),
    "digit": ("1", "2", ""),
    "at": ("1790000000", "2026-09-21T21:00:00+07:00"),
    "return_url": ("https://portal.example/",),
    "amount_vnd": (50_000, 100_000),
    "idempotency-key": ("1", "2"),
    "seq": ("1", "2"),
    "waiting": ("1", "2"),
    "SessionID": ("1",),
    "MSISDN": (str(A),),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with OpenapiDaemon(tmp_path_factory.mktemp("openapi")) as running:
        yield running


def operations(daemon):
    schema = schemathesis.openapi.from_dict(daemon.document)
    return [_right(found) for found in schema.get_all_operations()]


def _right(found):
    assert isinstance(found, Ok), found
    return found.ok()


def walk(daemon, wanted, examples):
    """Try some operations; what was not as the document says, one complaint of each kind."""
    complaints = []
    for operation in wanted:
        for mode in MODES:
            complaints += _tried(daemon, operation, mode, examples)
    return complaints


def _tried(daemon, operation, mode, examples):
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or operation.path_parameters or operation.query or operation.headers
    ):
        return []  # There is nothing to spoil.
    complaints: dict[str, str] = {}

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.randoms(use_true_random=False))
    def one(case, chance):
        steer(case, chance, daemon)
        answer = case.call(base_url=daemon.url, headers=daemon.headers(operation.path))
        complaint = _complaint(case, answer)
        if complaint:
            complaints.setdefault(_kind(complaint), f"{operation.label}, {mode.value}: {complaint}")

    try:
        one()
    except Unsatisfiable:
        # A text that may be any can't be spoiled.
        assert mode is GenerationMode.NEGATIVE
    return list(complaints.values())


def steer(case, chance, daemon):
    """Put ids and numbers that are known into half of the places; and files below our folder."""
    for part in (case.path_parameters, case.query, case.headers, case.body):
        if not isinstance(part, dict) and not hasattr(part, "update"):
            continue
        for name in list(part):
            known = (*KNOWN.get(str(name).lower(), KNOWN.get(str(name), ())), *daemon.known(name))
            if known and chance.random() < 0.5:
                part[name] = chance.choice(known)
    if case.path == "/admin/v1/backup" and isinstance(case.body, dict) and "path" in case.body:
        name = sha256(repr(case.body["path"]).encode()).hexdigest()[:8]
        case.body["path"] = str(daemon.folder / f"{name}.db")


def _complaint(case, answer):
    if answer.status_code >= 500 and case.path not in MAY_BE_UNAVAILABLE:
        return f"{answer.status_code} to {case.as_curl_command()}: {answer.text}"
    try:
        case.validate_response(answer, checks=CHECKS)
    except BaseExceptionGroup as error:
        return "\n".join(map(str, error.exceptions))
    return ""


def _kind(complaint):
    return complaint[:60]


@pytest.mark.rule("HTTP-3", "NET-2", "IVR-1", "IVR-4", "USSD-1", "PAYAPI-1", "PAYAPI-2", "SELF-1")
def test_a_sample_of_every_door_answers_as_the_document_says(daemon):
    wanted = [each for each in operations(daemon) if each.label in SAMPLE]
    assert {each.label for each in wanted} == SAMPLE
    assert walk(daemon, wanted, EXAMPLES) == []
    assert daemon.failures() == []


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
@pytest.mark.rule("HTTP-3", "NET-2", "IVR-1", "IVR-4", "USSD-1", "PAYAPI-1", "PAYAPI-2", "SELF-1")
def test_every_operation_answers_as_the_document_says(daemon):
    assert walk(daemon, operations(daemon), EXAMPLES_MANY) == []
    assert daemon.failures() == []


def address_of(path):
    return re.sub(r"\{[^}]*\}", "1", path)


def test_what_needs_a_token_is_refused_without_one_and_only_that(daemon):
    for path, item in daemon.document["paths"].items():
        address = address_of(path)
        for method, operation in item.items():
            answer = daemon.client.request(method, address)
            needs = bool(operation.get("security")) or path in SIGNED
            # Whose session it is the books say, who are asked when the body has been read.
            told = {401, 400} if path.startswith("/self/v1") else {401}
            assert answer.status_code in told if needs else answer.status_code != 401, path
            if answer.status_code >= 400 and path not in MAY_BE_UNAVAILABLE:
                assert answer.headers["content-type"] == "application/problem+json"
            assert {"401", "200", "201", "202", "204"} & operation["responses"].keys()


def test_what_the_document_does_not_name_cannot_be_done(daemon):
    for path, item in daemon.document["paths"].items():
        answer = daemon.client.patch(address_of(path))
        assert answer.status_code == 405, path
        assert {method.upper() for method in item} <= set(answer.headers["allow"].split(", "))


def test_a_document_that_lies_is_found_out(daemon):
    paths = daemon.document["paths"]
    operation = paths["/healthz"]["get"]
    lie = operation | {"responses": {"204": {"description": "nothing"}}}
    document = daemon.document | {"paths": {"/healthz": {"get": lie}}}
    [found] = schemathesis.openapi.from_dict(document).get_all_operations()
    [complaint] = walk(daemon, [_right(found)], 1)
    assert "Undocumented HTTP status code" in complaint or "Undocumented status code" in complaint
