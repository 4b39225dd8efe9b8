"""The pulse is for admins; a trace is for whoever may open the control socket, and nobody else."""

import msgspec
import pytest
from litestar.testing import TestClient

from telcod.smpp.trace import TraceBegun, TracedPdu, TraceLine, TraceMissed
from telcod.web.app import make_app
from telcod.web.ports import Pulse
from tests.web.fake_backend import FakeBackend

pytestmark = pytest.mark.rule("CLI-8")

PULSE = "/admin/v1/pulse"
TRACE = "/admin/v1/links/smsc-a/trace"


@pytest.fixture
def backend():
    return FakeBackend()


def door(backend, *, control):
    return TestClient(make_app(backend, control=control))


def test_the_pulse_is_told_to_admins_only(backend):
    staff, admin = backend.token("staff"), backend.token("admin")
    with door(backend, control=False) as client:
        assert client.get(PULSE).status_code == 401
        assert client.get(PULSE, headers=staff).status_code == 403
        found = client.get(PULSE, headers=admin)
        assert found.status_code == 200
        assert msgspec.json.decode(found.content, type=Pulse).links[0].pdus_out == 2


@pytest.mark.rule("SMPP-8")
def test_a_trace_is_one_object_a_line_and_ends_in_order(backend):
    with door(backend, control=True) as client:
        found = client.get(TRACE, params={"seconds": 5, "pdus": 2})
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("application/x-ndjson")
        begun, pdu, missed = (
            msgspec.json.decode(line, type=TraceLine) for line in found.content.splitlines()
        )
        assert begun == TraceBegun("smsc-a", bound=True)
        assert isinstance(pdu, TracedPdu)
        assert (pdu.frame, pdu.ends.peer_port) == (b"abc", 2_775)
        assert missed == TraceMissed(2)
    assert backend.ops.traced == [(5, 2)]
    assert backend.ops.ended == 1


@pytest.mark.rule("HTTP-1")
def test_a_link_that_is_not_there_and_an_end_that_is_none_are_refused(backend):
    with door(backend, control=True) as client:
        assert client.get("/admin/v1/links/nope/trace").status_code == 404
        for params in ({"seconds": 0}, {"pdus": -1}, {"seconds": "x"}):
            assert client.get(TRACE, params=params).status_code == 400
    assert backend.ops.traced == []


@pytest.mark.rule("SMPP-8")
def test_over_the_network_there_is_no_trace_not_even_for_an_admin(backend):
    with door(backend, control=False) as client:
        assert client.get(TRACE, headers=backend.token("admin")).status_code == 404
