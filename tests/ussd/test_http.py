"""USSD as JSON: what it takes, how it refuses, and that nobody waits for it.

Every test runs twice: through the web framework, and past it.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.errors import Overloaded, StoreFull, Unavailable
from telcod.types import Answer, Channel
from telcod.web.scopes import Scope
from tests.ussd.scripted import Scripted, client_of, problem, screen
from tests.web.by_shortcut import ByShortcut
from ussd.http import ROUTES
from ussd.shortcut import found

SESSION = "/ussd/v1/sessions/abc"


def past(app):
    return ByShortcut(app, found)


FIRST = {"msisdn": "+84903000001", "service_code": "*1566#", "input": "", "step": 0}


@pytest.fixture(scope="module")
def served():
    """Books, and who asks them both ways; an application takes longer to make than to test."""
    backends = {"framework": Scripted(), "shortcut": Scripted()}
    with (
        client_of(backends["framework"], ROUTES) as framework,
        client_of(backends["shortcut"], ROUTES, wrap=past) as shortcut,
    ):
        yield {
            "framework": (backends["framework"], framework),
            "shortcut": (backends["shortcut"], shortcut),
        }


@pytest.fixture(params=["framework", "shortcut"])
def way(request, served):
    return served[request.param]


@pytest.fixture
def backend(way):
    return way[0].forget()


@pytest.fixture
def client(way):
    return way[1]


# -------------------------------------------------------------------------------------- the good


@pytest.mark.rule("USSD-1")
def test_a_step_asks_the_books_and_shows_what_they_say(client, backend):
    response = client.post(SESSION, json=FIRST)
    assert response.status_code == 200
    assert response.json() == {
        "action": "continue",
        "text": "1 Goi cuoc\n2 Danh sach",
        "step": 1,
    }
    (asked,) = backend.asked
    assert (asked.route, asked.sender, asked.channel) == ("ussd.step", 84903000001, Channel.USSD)
    assert asked.args == ("gw:abc", "*1566#", "", "0", "last")
    assert asked.actor == "gw"


@pytest.mark.rule("USSD-1")
def test_the_last_screen_ends_the_dialogue(client, backend):
    backend.says = screen("Cam on", step=3, ends=True)
    said = {"msisdn": "0903000001", "input": "0903000002", "step": 2}
    assert client.post(SESSION, json=said).json()["action"] == "end"
    assert backend.heard == ("gw:abc", "", "0903000002", "2", "last")


@pytest.mark.rule("USSD-1")
def test_a_step_without_its_number_is_the_next_one(client, backend):
    client.post(SESSION, json={"msisdn": "0903000001", "input": "1"})
    assert backend.heard == ("gw:abc", "", "1", "-1", "last")


@pytest.mark.rule("USSD-4")
def test_the_answer_to_a_push_comes_as_a_step_of_its_session(client, backend):
    client.post("/ussd/v1/sessions/push-17", json={"msisdn": "0903000001", "input": "1", "step": 1})
    assert backend.heard == ("push-17", "", "1", "1", "last")


@pytest.mark.rule("USSD-1", "KW-4")
@pytest.mark.parametrize("number", ["+254711000111", "1566", "abc", "090300000"])
def test_who_has_no_number_of_this_country_is_nobody_to_the_books(client, backend, number):
    backend.says = screen("Chi danh cho thue bao MobiFone", ends=True)
    response = client.post(SESSION, json=FIRST | {"msisdn": number})
    assert (response.status_code, response.json()["action"]) == (200, "end")
    assert backend.asked[-1].sender == 0


@pytest.mark.rule("USSD-1", "USSD-3")
def test_delete_ends_a_session_and_says_when_there_is_none(client, backend):
    backend.says = Answer("ussd.ended")
    response = client.delete(SESSION)
    assert (response.status_code, response.content) == (204, b"")
    assert (backend.asked[-1].route, backend.heard) == ("ussd.end", ("gw:abc",))
    backend.says = Answer("ussd.unknown")
    problem(client.delete(SESSION), 404)


def test_a_step_that_broke_ends_with_the_polite_sentence(client, backend):
    backend.says = Answer("ours.sorry", text="Xin loi Quy khach")
    assert client.post(SESSION, json=FIRST).json() == {
        "action": "end",
        "text": "Xin loi Quy khach",
        "step": 0,
    }


# --------------------------------------------------------------------------------------- the bad


@pytest.mark.rule("USSD-1", "HTTP-1", "HTTP-2")
def test_a_step_out_of_turn_is_a_conflict_that_names_the_next_one(client, backend):
    backend.says = Answer("ussd.wrong_step", data={"step": 4})
    assert problem(client.post(SESSION, json=FIRST | {"step": 2}), 409)["step"] == 4


@pytest.mark.rule("USSD-1", "HTTP-1")
def test_a_session_that_nobody_knows_is_not_found(client, backend):
    backend.says = Answer("ussd.unknown")
    problem(client.post(SESSION, json=FIRST | {"step": 2}), 404)


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"service_code": "*1566#", "step": 0}, "msisdn"),
        (FIRST | {"msisdn": ""}, "msisdn"),
        (FIRST | {"msisdn": "9" * 33}, "msisdn"),
        (FIRST | {"msisdn": 84903000001}, "msisdn"),
        (FIRST | {"service_code": "call me"}, "service_code"),
        (FIRST | {"service_code": "*1566*" + "1" * 500 + "#"}, "service_code"),
        (FIRST | {"input": "1" * 501}, "input"),
        (FIRST | {"input": "a\x07b"}, "input"),
        (FIRST | {"input": 1}, "input"),
        (FIRST | {"step": -1}, "step"),
        (FIRST | {"step": "first"}, "step"),
        (FIRST | {"step": 1_001}, "step"),
        (FIRST | {"colour": "red"}, "colour"),
        ([], "body"),
    ],
)
def test_a_field_that_makes_no_sense_is_named_and_nothing_is_done(client, backend, said, field):
    found = problem(client.post(SESSION, json=said), 400, field)
    assert field in found["detail"]
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("session", ["x" * 129, "a b", "cuộc", "...", "push-", "push-0", "push-x"])
def test_an_id_that_no_path_can_carry_is_named(client, backend, session):
    problem(client.post(f"/ussd/v1/sessions/{session}", json=FIRST), 400, "session_id")
    problem(client.delete(f"/ussd/v1/sessions/{session}"), 400, "session_id")
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("body", [b"", b"{", b"[[[[", b"step=0", b'{"msisdn":"\xff"}'])
def test_what_is_no_json_is_malformed(client, backend, body):
    response = client.post(SESSION, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["code"] == "malformed"
    assert backend.asked == []


@pytest.mark.rule("HTTP-1")
@pytest.mark.parametrize("scope", list(Scope))
def test_gateways_and_administrators_may_and_nobody_else(scope):
    for wrap in (lambda app: app, past):
        backend = Scripted()
        with client_of(backend, ROUTES, wrap=wrap, scope=scope) as client:
            allowed = scope in {Scope.USSD, Scope.ADMIN}
            response = client.post(SESSION, json=FIRST)
            assert response.status_code == (200 if allowed else 403)
            anybody = {"Authorization": "Bearer nobody"}
            problem(client.post(SESSION, json=FIRST, headers=anybody), 401)


@pytest.mark.rule("HTTP-1", "USSD-1")
@pytest.mark.parametrize("error", [Overloaded("full"), Unavailable("stops"), StoreFull("disk")])
def test_books_that_take_nothing_now_are_to_be_asked_again(client, backend, error):
    backend.says = error
    response = client.post(SESSION, json=FIRST)
    problem(response, 503)
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.rule("HTTP-1", "USSD-1")
def test_books_that_are_late_are_not_waited_for(client, backend):
    backend.late = True
    response = client.post(SESSION, json=FIRST)
    problem(response, 503)
    assert int(response.headers["retry-after"]) > 0
    problem(client.delete(SESSION), 503)


# ----------------------------------------------------------------------------- both ways are alike

ANYTHING = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "msisdn": st.sampled_from(["0903000001", "", "abc", 5, None]),
            "service_code": st.sampled_from(["*1566#", "1566", "*1566*1#", "#", "x", None]),
            "input": st.one_of(st.text(max_size=8), st.integers(), st.none()),
            "step": st.one_of(st.integers(-2, 1_002), st.sampled_from(["1", 1.5, None])),
            "more": st.just(1),
        },
    ),
    st.integers(),
    st.none(),
)


@pytest.mark.rule("USSD-1", "HTTP-1")
@given(
    said=ANYTHING, path=st.sampled_from(["abc", "push-3", "push-x", "a%20b", "a%2Fb", "", "a/b"])
)
def test_past_the_framework_every_step_is_answered_as_through_it(served, said, path):
    body, answers = json.dumps(said).encode(), []
    kind = {"Content-Type": "application/json"}
    for backend, client in served.values():
        backend.forget()
        response = client.post(f"/ussd/v1/sessions/{path}", content=body, headers=kind)
        answers.append((response.status_code, response.json(), backend.asked))
    assert answers[0] == answers[1]


def test_only_steps_go_past_the_framework():
    assert found("/ussd/v1/sessions/abc") is not None
    for path in ("/ussd/v1/sessions/", "/ussd/v1/sessions/a/b", "/ussd/gateway/x", "/ivr/v1/calls"):
        assert found(path) is None
