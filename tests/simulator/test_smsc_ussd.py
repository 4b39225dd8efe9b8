"""The simulated gateway against smpplib's client, which plays the menu: what goes over the wire."""

import asyncio

import pytest
import smpplib.client
import smpplib.smpp

from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import STATUS_DESTINATION, Behaviour
from telcod.simulator.smsc_ussd import HABITS, SimulatedWire, UssdPhone
from tests.ussd_wire import read_ussd

PHONE = "84903123456"
WAIT_S = 10

pytestmark = [pytest.mark.anyio, pytest.mark.rule("SMPP-7")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Menu:
    """smpplib's client in a thread: hears the phone, answers it, and says screens."""

    def __init__(self, smsc):
        self.client = smpplib.client.Client(
            smsc.host, smsc.port, timeout=WAIT_S, allow_unknown_opt_params=True
        )
        self.heard = None  # The last operation.

    async def __aenter__(self):
        await asyncio.to_thread(self.client.connect)
        await asyncio.to_thread(self.client.bind_transceiver, system_id="telcod", password="secret")
        return self

    async def __aexit__(self, *_):
        self.client._socket.close()
        self.client._socket = None

    async def hear(self, *, status=0):
        """The next deliver_sm, answered."""
        self.heard, pdu = await asyncio.to_thread(read_ussd, self.client)
        answer = smpplib.smpp.make_pdu("deliver_sm_resp", client=self.client, status=status)
        answer.sequence = pdu.sequence
        self.client.send_pdu(answer)
        return pdu

    async def skip(self):
        """Read one PDU and forget it."""
        await asyncio.to_thread(self.client.read_pdu)

    def say(self, text, **tlvs):
        self.client.send_message(
            source_addr="1566", destination_addr=PHONE, short_message=text, **tlvs
        )


@pytest.fixture
async def smsc():
    async with SimulatedSmsc() as running:
        yield running


@pytest.fixture
async def menu(smsc):
    async with Menu(smsc) as bound:
        yield bound


def phone_of(smsc, habits):
    return UssdPhone(SimulatedWire(smsc), PHONE, HABITS[habits])


# What a phone's first message says of its session, and where the code is; by kind of gateway.
BEGINS = {
    "standard": (0x2800, None, b"1566", b"*1566#"),
    "tata": (0x0050, None, b"*1566#", b""),
    "sixdee": (0x0050, None, b"1566", b"*1566#"),
    "mica": (None, 0x0028, b"1566", b"*1566#"),
    "msisdn": (None, None, b"*1566#", b""),
}


@pytest.mark.parametrize("habits", sorted(BEGINS))
async def test_a_phone_begins_as_its_gateway_does(smsc, menu, habits):
    phone = phone_of(smsc, habits)
    sent = await phone.send_dialled("*1566#")
    pdu = await menu.hear()
    assert await sent == 0
    assert menu.heard == 1
    info, reference, destination, text = BEGINS[habits]
    assert (pdu.its_session_info, pdu.user_message_reference) == (info, reference)
    assert (pdu.destination_addr, pdu.short_message or b"") == (destination, text)


@pytest.mark.parametrize("habits", sorted(BEGINS))
async def test_a_screen_is_shown_and_what_it_carried_comes_back(smsc, menu, habits):
    phone = phone_of(smsc, habits)
    session = {
        "standard": {"its_session_info": 0x2802},
        "tata": {"its_session_info": 0x0050},
        "sixdee": {"its_session_info": 0x0050},
        "mica": {"user_message_reference": 0x0028},
        "msisdn": {},
    }[habits]
    await smsc.wait_bound()
    menu.say(b"1 Goi cuoc", ussd_service_op=2, **session)
    screen = await phone.next_screen()
    assert (screen.text, screen.operation, screen.ends) == ("1 Goi cuoc", 2, False)
    await phone.send(HABITS[habits].answer, "1")
    await menu.skip()  # The response to the screen.
    pdu = await menu.hear()
    assert menu.heard == HABITS[habits].answer
    assert pdu.short_message == b"1"
    assert {name: getattr(pdu, name) for name in session} == session


@pytest.mark.parametrize(
    ("habits", "operation", "info", "ends"),
    [
        ("standard", 17, 0x2803, True),
        ("standard", 17, 0x2802, False),
        ("standard", 2, 0x2802, False),
        ("tata", 2, 0x0051, True),
        ("tata", 2, 0x0050, False),
        ("sixdee", 23, 0x0051, True),
        ("mica", 23, None, True),
        ("msisdn", 17, None, True),
        ("msisdn", 2, None, False),
    ],
)
async def test_an_end_is_known_by_all_that_marks_it(smsc, menu, habits, operation, info, ends):
    phone = phone_of(smsc, habits)
    tlvs = {} if info is None else {"its_session_info": info}
    menu.say(b"Xong", ussd_service_op=operation, **tlvs)
    assert (await phone.next_screen()).ends is ends


async def test_an_input_that_is_refused_is_told(smsc, menu):
    async with asyncio.TaskGroup() as group:
        dialling = group.create_task(refused(phone_of(smsc, "msisdn").dial("*1566#")))
        await menu.hear(status=STATUS_DESTINATION)
    assert "0x0000000B" in dialling.result()


async def refused(dialling):
    with pytest.raises(ConnectionError) as caught:
        await dialling
    return str(caught.value)


async def test_a_screen_is_no_text(smsc, menu):
    phone = phone_of(smsc, "msisdn")
    menu.say(b"Menu", ussd_service_op=2)
    menu.say(b"Tin nhan")
    assert (await phone.next_screen()).text == "Menu"
    assert await smsc.wait_text(PHONE) == ["Tin nhan"]


async def test_a_gateway_may_refuse_screens_and_take_texts(smsc, menu):
    smsc.behave(Behaviour(ussd_status=STATUS_DESTINATION))
    menu.say(b"Menu", ussd_service_op=2)
    menu.say(b"Tin nhan")
    await smsc.wait_text(PHONE)
    assert [each.status for each in smsc.submitted] == [STATUS_DESTINATION, 0]
    assert SimulatedWire(smsc).shown()[0].text == "Tin nhan"
