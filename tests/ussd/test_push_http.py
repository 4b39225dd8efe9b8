"""Pushes by HTTP: what is posted, and what each answer of the gateway means."""

import asyncio
import json

import httpx
import pytest

from ussd.push import Push, PushFailed
from ussd.push_http import HttpPushGateway

pytestmark = pytest.mark.rule("USSD-4")

URL = "http://gateway/push"
ASKS = Push("push-17", 84903000001, "0903000002 nhan tin. 1 Dong y 2 Tu choi", True, 90)


def pushed(push, answer, **more):
    """Push to a gateway that answers so; what it was posted."""
    posted = []

    def gateway(request):
        posted.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    async def scene():
        transport = httpx.MockTransport(gateway)
        async with HttpPushGateway(URL, transport=transport, **more) as there:
            await there.push(push)

    asyncio.run(scene())
    return posted


def failed(answer):
    """Whether a push that this answer fails is tried again."""
    with pytest.raises(PushFailed) as failure:
        pushed(ASKS, answer)
    return failure.value.retry


def test_what_is_to_be_shown_is_posted_as_json():
    (request,) = pushed(ASKS, 202, token="secret")
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["authorization"] == "Bearer secret"
    assert json.loads(request.content) == {
        "session_id": "push-17",
        "msisdn": "84903000001",
        "action": "ask",
        "text": "0903000002 nhan tin. 1 Dong y 2 Tu choi",
        "expires_in_s": 90,
    }


def test_a_notice_asks_nothing_and_no_token_is_none():
    (request,) = pushed(Push("push-18", 84903000001, "Xin chao", False, 60), 200)
    assert json.loads(request.content)["action"] == "notify"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
def test_a_refusal_is_for_good(status):
    assert failed(status) is False


@pytest.mark.parametrize("status", [301, 408, 425, 429, 500, 502, 503, 504])
def test_what_is_of_the_moment_is_tried_again(status):
    assert failed(status) is True


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("5 s"),
        httpx.RemoteProtocolError("nonsense"),
    ],
)
def test_a_gateway_that_can_not_be_reached_is_tried_again(error):
    assert failed(error) is True


def test_an_address_that_is_none_is_a_failure_for_good():
    assert failed(httpx.UnsupportedProtocol("ftp")) is False
