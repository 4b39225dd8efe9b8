"""How gateways of different makes speak of a USSD dialogue: what each sends, how it reads an
answer (USSD-1, USSD-2).

Written from the gateways' own descriptions and from telcod's, not from telcod's code, so that no
mistake agrees with itself.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from xml.etree import ElementTree as ET

import httpx
import msgspec

_GATEWAY: Final = "/ussd/gateway"


class Talk(NamedTuple):
    """A dialogue so far, as its gateway knows it.

    `typed` are the inputs; `step` what the last answer said is next; `given` what it gave to be
    given back.
    """

    session_id: str
    msisdn: str
    code: str
    typed: tuple[str, ...] = ()
    step: int = 0
    given: str = ""


class Sent(NamedTuple):
    """A request: method, path, and what `httpx` is told of its body or query."""

    method: str
    path: str
    more: Mapping[str, Any] = {}


class Seen(NamedTuple):
    """What a phone shows, and whether the dialogue ends there."""

    text: str
    ends: bool
    step: int = 0
    given: str = ""


class NoScreen(Exception):
    """An answer that this gateway can't show; it would end the dialogue with a message of its own.

    `status` is that of HTTP.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said[:500]}")
        self.status: Final = status


class Dialect(Protocol):
    """A gateway's way to speak."""

    def step(self, talk: Talk) -> Sent:
        """What it sends: the first time nothing was typed."""
        ...

    def close(self, talk: Talk) -> Sent | None:
        """What it sends when a dialogue was broken off; None if it says nothing."""
        ...

    def seen(self, answer: httpx.Response) -> Seen:
        """What the phone shows.

        Raises:
            NoScreen: It is no answer for a phone.
        """
        ...


class Json:
    """telcod's own interface."""

    def step(self, talk: Talk) -> Sent:
        said = {
            "msisdn": talk.msisdn,
            "service_code": talk.code,
            "input": talk.typed[-1] if talk.typed else "",
            "step": talk.step,
        }
        return Sent("POST", f"/ussd/v1/sessions/{talk.session_id}", {"json": said})

    def close(self, talk: Talk) -> Sent:
        return Sent("DELETE", f"/ussd/v1/sessions/{talk.session_id}")

    def seen(self, answer: httpx.Response) -> Seen:
        screen = _json(answer)
        return Seen(screen["text"], screen["action"] == "end", screen["step"])


class AfricasTalking:
    """A form with all inputs so far; CON or END before the screen."""

    def step(self, talk: Talk) -> Sent:
        said = {**self._who(talk), "serviceCode": talk.code, "text": "*".join(talk.typed)}
        return Sent("POST", f"{_GATEWAY}/africastalking", {"data": said})

    def close(self, talk: Talk) -> Sent:
        said = {**self._who(talk), "status": "Incomplete", "durationInMillis": "4000"}
        return Sent("POST", f"{_GATEWAY}/africastalking", {"data": said})

    def seen(self, answer: httpx.Response) -> Seen:
        mark, _, text = _good(answer).text.partition(" ")
        if mark not in {"CON", "END"}:
            raise NoScreen(answer.status_code, answer.text)
        return Seen(text, mark == "END")

    def _who(self, talk: Talk) -> dict[str, str]:
        return {
            "sessionId": talk.session_id,
            "phoneNumber": f"+{talk.msisdn}",
            "networkCode": "45201",
        }


class Freeflow:
    """A query with the last input; the header Freeflow says whether it goes on."""

    def step(self, talk: Talk) -> Sent:
        said = {
            "SessionID": talk.session_id,
            "MSISDN": talk.msisdn,
            "MSC": "1",
            "input": talk.typed[-1] if talk.typed else talk.code.strip("*#"),
        }
        return Sent("GET", f"{_GATEWAY}/freeflow", {"params": said})

    def close(self, talk: Talk) -> Sent:
        said = {
            "SessionID": talk.session_id,
            "msisdn": talk.msisdn,
            "clean": "clean-session",
            "error": "522",
        }
        return Sent("GET", f"{_GATEWAY}/freeflow", {"params": said})

    def seen(self, answer: httpx.Response) -> Seen:
        mark = _good(answer).headers.get("Freeflow")
        if mark not in {"FC", "FB"}:
            raise NoScreen(answer.status_code, answer.text)
        return Seen(answer.text, mark == "FB")


class ShouldClose:
    """JSON to an address for each event."""

    def step(self, talk: Talk) -> Sent:
        event = "response" if talk.typed else "start"
        text = talk.typed[-1] if talk.typed else talk.code
        said = {
            "msisdn": talk.msisdn,
            "text": text,
            "shortCode": talk.code,
            "imsi": None,
            "language": None,
        }
        return Sent("PUT", self._path(talk, event), {"json": said})

    def close(self, talk: Talk) -> Sent:
        said = {"exitCode": 500, "reason": "the subscriber has left"}
        return Sent("PUT", self._path(talk, "end"), {"json": said})

    def seen(self, answer: httpx.Response) -> Seen:
        screen = _json(answer)
        return Seen(screen["ussdMenu"], screen["shouldClose"])

    def _path(self, talk: Talk, event: str) -> str:
        return f"{_GATEWAY}/shouldclose/session/{talk.session_id}/{event}"


class RestComm:
    """XML with the messages of MAP; who it is and the number of the first message come once."""

    INVOKE_ID: Final = "7"

    def step(self, talk: Talk) -> Sent:
        root = self._dialog(talk, "Continue" if talk.typed else "Begin")
        if talk.typed:
            said = {"invokeId": "0", "dataCodingScheme": "15", "string": talk.typed[-1]}
            ET.SubElement(root, "unstructuredSSRequest_Response", said)
        else:
            said = {"invokeId": self.INVOKE_ID, "dataCodingScheme": "15", "string": talk.code}
            first = ET.SubElement(root, "processUnstructuredSSRequest_Request", said)
            ET.SubElement(
                first, "msisdn", nai="international_number", npi="ISDN", number=talk.msisdn
            )
        return self._sent(root)

    def close(self, talk: Talk) -> Sent:
        root = self._dialog(talk, "Unknown")
        root.set("mapUserAbortChoice", "isUserSpecificReason")
        ET.SubElement(root, "errComponents")
        return self._sent(root)

    def seen(self, answer: httpx.Response) -> Seen:
        root = ET.fromstring(_good(answer).content)  # noqa: S314  # telcod has written it
        goes_on = root.find("unstructuredSSRequest_Request")
        if goes_on is not None:
            given = root.get("userObject", "")
            return Seen(goes_on.get("string", ""), ends=False, given=given)
        last = root.find("processUnstructuredSSRequest_Response")
        if last is None or last.get("invokeId") != self.INVOKE_ID:
            raise NoScreen(answer.status_code, answer.text)
        return Seen(last.get("string", ""), ends=root.get("prearrangedEnd") == "false")

    def _dialog(self, talk: Talk, kind: str) -> ET.Element:
        root = ET.Element("dialog", type=kind, localId=talk.session_id, remoteId="1")
        if talk.given:
            root.set("userObject", talk.given)
        return root

    def _sent(self, root: ET.Element) -> Sent:
        kind = {"Content-Type": "text/xml"}
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return Sent("POST", f"{_GATEWAY}/restcomm", {"content": body, "headers": kind})


class Yate:
    """A query by a template; the header operation ends the dialogue."""

    def step(self, talk: Talk) -> Sent:
        return self._sent(
            talk, "ussr" if talk.typed else "pssr", talk.typed[-1] if talk.typed else talk.code
        )

    def close(self, talk: Talk) -> Sent:
        return self._sent(talk, "stop", "")

    def seen(self, answer: httpx.Response) -> Seen:
        return Seen(_good(answer).text, answer.headers.get("operation") == "pssr")

    def _sent(self, talk: Talk, operation: str, text: str) -> Sent:
        said = {
            "id": talk.session_id,
            "operation": operation,
            "msisdn": talk.msisdn,
            "code": talk.code,
            "text": text,
        }
        return Sent("GET", f"{_GATEWAY}/yate", {"params": said})


DIALECTS: Final[Mapping[str, Dialect]] = {
    "json": Json(),
    "africastalking": AfricasTalking(),
    "freeflow": Freeflow(),
    "shouldclose": ShouldClose(),
    "restcomm": RestComm(),
    "yate": Yate(),
}


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.status_code != httpx.codes.OK:
        raise NoScreen(answer.status_code, answer.text)
    return answer


def _json(answer: httpx.Response) -> Any:
    return msgspec.json.decode(_good(answer).content)
