"""The books of a running daemon, over its control socket."""

import socket
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import msgspec

from telcod.bulk import SubscriberLine
from telcod.errors import (
    KeyReused,
    NotStarted,
    Overloaded,
    Refusal,
    StoreFailed,
    TelcodError,
    Unavailable,
)
from telcod.smpp.trace import TraceLine
from telcod.web.staff_requests import Refused

PROBE_WAIT_S: Final = 2.0
WAIT_S: Final = 60.0  # a chunk waits behind all that the daemon has to do

Data = Mapping[str, Any]

_ERRORS: Final[Mapping[str, type[TelcodError]]] = MappingProxyType(
    {"overloaded": Overloaded, "unavailable": Unavailable, "key_reused": KeyReused}
)


_decode_line: Final = msgspec.json.Decoder(TraceLine).decode


class RemoteBooks:
    """The port `Books` over HTTP on a unix socket; the peer is who may open it."""

    served: Final = True

    def __init__(self, client: httpx.Client) -> None:
        self._client: Final = client

    @classmethod
    def connect_or_none(cls, path: Path | None) -> Self | None:
        """The daemon that answers on a control socket; None if none does.

        Raises:
            NotStarted: There is a socket that this user may not open.
        """
        if path is None or not path.is_socket() or not _listens(path):
            return None
        client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://telcod", timeout=WAIT_S
        )
        try:
            client.get("/healthz", timeout=PROBE_WAIT_S)
        except httpx.HTTPError:
            client.close()
            return None
        return cls(client)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    def show(self, msisdn: str) -> Data:
        """See `Books.show`."""
        return self._call("GET", _subscriber(msisdn))

    def top_up(self, msisdn: str, amount_vnd: int, reason: str, *, key: str) -> Data:
        """See `Books.top_up`."""
        body = {"amount_vnd": amount_vnd, "reason": reason}
        return self._call("POST", _subscriber(msisdn) + "/topups", body, {"Idempotency-Key": key})

    def set_state(self, msisdn: str, state: str) -> Data:
        """See `Books.set_state`."""
        return self._call("PUT", _subscriber(msisdn) + "/state", {"state": state})

    def import_lines(self, lines: Sequence[SubscriberLine]) -> Data:
        """See `Books.import_lines`."""
        return self._call("POST", "/admin/v1/subscribers/import", {"lines": lines})

    def tokens(self) -> Sequence[Data]:
        """See `Books.tokens`."""
        found: Sequence[Data] = self._json("GET", "/admin/v1/tokens")
        return found

    def create_token(self, name: str, scope: str) -> str:
        """See `Books.create_token`."""
        return str(self._call("POST", "/admin/v1/tokens", {"name": name, "scope": scope})["token"])

    def revoke_token(self, name: str) -> Data:
        """See `Books.revoke_token`."""
        return self._call("DELETE", f"/admin/v1/tokens/{_segment(name)}")

    def back_up(self, path: Path) -> int:
        """See `Books.back_up`.  The daemon writes it, as its own user, however long it takes."""
        asked = {"path": str(path.absolute())}
        return int(self._call("POST", "/admin/v1/backup", asked, wait_s=None)["size_bytes"])

    # -- of the daemon itself

    def status(self) -> Data:
        """How the daemon is."""
        return self._call("GET", "/admin/v1/status")

    def pulse(self) -> Data:
        """Counts since its start."""
        return self._call("GET", "/admin/v1/pulse")

    def trace(
        self, link: str, *, seconds: int | None, pdus: int | None
    ) -> Generator[TraceLine, None, None]:
        """What passes over a link from now on, as it comes.

        Raises:
            Refused: There is no such link.
            Unavailable: The daemon went away.
        """
        asked = {"seconds": seconds, "pdus": pdus}
        params = {name: number for name, number in asked.items() if number is not None}
        path = f"/admin/v1/links/{_segment(link)}/trace"
        timeout = httpx.Timeout(WAIT_S, read=None)  # a quiet link says nothing for hours
        try:
            with self._client.stream("GET", path, params=params, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                for line in response.iter_lines():
                    yield _decode_line(line)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"telcod went away while it was traced ({type(error).__name__})",
                what_to_do="What came until then is in the file.",
            ) from error

    def confirm_clock(self) -> bool:
        """A person says that the wall clock is right; whether it had jumped."""
        return bool(self._call("POST", "/admin/v1/clock/confirm")["had_jumped"])

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_s: float | None = WAIT_S,
    ) -> Data:
        data: Data = self._json(method, path, body, headers, wait_s=wait_s)
        return data

    def _json(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_s: float | None = WAIT_S,
    ) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        try:
            response = self._client.request(
                method, path, content=content, headers=headers, timeout=wait_s
            )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"telcod went away while it was asked ({type(error).__name__})",
                what_to_do="Look whether it was done, then try again: a repeat does no harm.",
            ) from error
        if response.is_success:
            return msgspec.json.decode(response.content)
        raise _error_of(response)


def _error_of(response: httpx.Response) -> TelcodError:
    """What the daemon's problem is here: the same class as if this process had met it."""
    try:
        problem = msgspec.json.decode(response.content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return TelcodError(f"telcod answered {response.status_code}, which nobody foresaw")
    what_to_do = str(problem.get("what_to_do", ""))
    if code in frozenset(Refusal):
        fields = problem.get("errors") or [{}]
        field = str(fields[0].get("field", ""))
        return Refused(Refusal(code), detail, what_to_do=what_to_do, field=field)
    kind = _ERRORS.get(code, StoreFailed if response.status_code == 503 else TelcodError)
    return kind(detail, what_to_do=what_to_do)


def _subscriber(msisdn: str) -> str:
    return f"/staff/v1/subscribers/{_segment(msisdn)}"


def _segment(text: str) -> str:
    """One segment of a path; what could be read as more than one is refused here."""
    if not text.strip() or "/" in text or text.strip(".") == "":
        raise Refused(Refusal.MALFORMED, f"{text!r} is neither a number nor a name")
    return quote(text, safe="")


def _listens(path: Path) -> bool:
    """Whether anybody listens on a socket; asked without httpx, which leaves a refused one open."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_WAIT_S)
        try:
            probe.connect(str(path))
        except PermissionError as error:
            raise NotStarted(
                f"the control socket {path} belongs to another user",
                what_to_do="Run this as the user that telcod runs as.",
            ) from error
        except OSError:
            return False
    return True
