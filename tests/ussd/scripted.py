"""Books that answer steps by a script, behind the real web: what dialects are tested against."""

import asyncio

import httpx

from telcod.errors import TelcodError
from telcod.types import Answer
from telcod.web.app import make_app
from telcod.web.limits import WebLimits
from telcod.web.scopes import Scope
from tests.web.fake_backend import FakeBackend


def screen(text="1 Goi cuoc\n2 Danh sach", *, step=1, ends=False):
    """What the books answer to a step."""
    data = {"action": "end" if ends else "continue", "text": text, "step": step}
    return Answer("ussd.shown", data=data)


class Scripted(FakeBackend):
    """`says` is what is answered to the next steps and ends: an answer, or what is raised.

    `asked` are the steps and ends, in order; with `late` the books never answer.
    """

    def __init__(self):
        super().__init__()
        self.forget()

    def forget(self):
        """As if nothing had been asked yet."""
        self.says = screen()
        self.asked = []
        self.late = False
        return self

    async def submit(self, request):
        if not request.route.startswith("ussd."):
            return await super().submit(request)
        self.asked.append(request)
        if self.late:
            await asyncio.Event().wait()
        if isinstance(self.says, TelcodError):
            raise self.says
        return self.says

    @property
    def heard(self):
        """The last step: its arguments as `ussd.steps` makes them."""
        return self.asked[-1].args


class Client:
    """Asks an application, without a network: `with Client(app, headers) as client:`."""

    def __init__(self, app, headers):
        self._app = app
        self._headers = headers
        self._runner = asyncio.Runner()

    def __enter__(self):
        self._runner.__enter__()
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://telcod", headers=self._headers
        )
        return self

    def __exit__(self, *error):
        self._runner.run(self._client.aclose())
        self._runner.__exit__(*error)

    def request(self, method, path, **more):
        return self._runner.run(self._client.request(method, path, **more))

    def post(self, path, **more):
        return self.request("POST", path, **more)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)


def client_of(backend, dialects, *, wrap=lambda app: app, scope=Scope.USSD):
    """A client with a token, before an application that waits 50 ms for the books."""
    limits = WebLimits(answer_wait_s=0.05)
    app = wrap(make_app(backend, control=False, limits=limits, dialects=dialects))
    return Client(app, backend.token(scope, "gw"))


def problem(response, status, *fields):
    """A problem it must be, with these fields named."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert [error["field"] for error in found["errors"]] == list(fields)
    assert "Traceback" not in response.text
    return found
