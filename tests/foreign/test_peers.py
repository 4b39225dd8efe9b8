"""The foreign SMSCs do what the harness promises, seen by smpplib's client."""

import asyncio

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp

from tests.foreign.peers import PEERS, ForeignSmsc
from tests.foreign.phones import phone
from tests.ussd_wire import read_ussd

PHONE = "84903123456"
LONG = "Quy khach da dang ky goi {tuan} " * 10
WAIT_S = 10

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.rule("SMPP-1"),
    # The two processes share the ports and the cores of one machine with the other tests.
    pytest.mark.xdist_group("foreign"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=PEERS, ids=str)
async def smsc(request):
    async with ForeignSmsc(request.param) as running:
        yield running


class Esme:
    """smpplib's client in a thread, one PDU at a time."""

    def __init__(self, smsc):
        self.client = smpplib.client.Client(
            smsc.host, smsc.port, timeout=WAIT_S, allow_unknown_opt_params=True
        )

    async def __aenter__(self):
        try:
            await asyncio.to_thread(self.client.connect)
        except smpplib.exceptions.ConnectionError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        self.client._socket.close()
        self.client._socket = None

    async def bind(self, mode="transceiver", password="secret"):
        bind = getattr(self.client, f"bind_{mode}")
        return await asyncio.to_thread(bind, system_id="telcod", password=password)

    async def read(self):
        return await asyncio.to_thread(self.client.read_pdu)

    def answer(self, pdu, status=0):
        answer = smpplib.smpp.make_pdu(f"{pdu.command}_resp", client=self.client, status=status)
        answer.sequence = pdu.sequence
        self.client.send_pdu(answer)

    async def read_to_the_end(self):
        """The commands that come before the connection ends."""
        commands = []
        try:
            while True:
                commands.append((await self.read()).command)
        except smpplib.exceptions.ConnectionError:
            return commands

    def submit(self, body=b"Xin chao", **fields):
        self.client.send_message(
            source_addr="1566", destination_addr=PHONE, short_message=body, **fields
        )

    async def submit_and_read(self, body=b"Xin chao", **fields):
        self.submit(body, **fields)
        return await self.read()


@pytest.mark.parametrize("mode", ["transmitter", "receiver", "transceiver"])
async def test_a_bind_is_accepted_and_told(smsc, mode):
    async with Esme(smsc) as esme:
        await esme.bind(mode)
        bound = await smsc.next_event("bound")
        assert bound["can_receive"] == (mode != "transmitter")
        assert bound["mode"] == mode or not smsc.can("tell_mode")


async def test_a_wrong_password_is_refused_by_those_who_look_at_it(smsc):
    async with Esme(smsc) as esme:
        if smsc.can("check_password"):
            with pytest.raises(smpplib.exceptions.PDUError):
                await esme.bind(password="wrong")
            await smsc.next_event("bind_refused")
        else:
            await esme.bind(password="wrong")
            await smsc.next_event("bound")


@pytest.mark.parametrize(("text", "data_coding"), [("KT W {}", 0), ("Đăng ký 😀", 8)])
async def test_a_text_is_delivered_and_its_answer_told(smsc, text, data_coding):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        [delivery] = await smsc.send_text(PHONE, "1566", text)
        pdu = await esme.read()
        esme.answer(pdu, status=0x64)
        assert await delivery == 0x64
        assert (pdu.source_addr, pdu.destination_addr) == (PHONE.encode(), b"1566")
        assert pdu.data_coding == data_coding
        encode = smpplib.gsm.ENCODINGS[data_coding][0]
        assert pdu.short_message == encode(text)


@pytest.mark.parametrize("long", ["udh8", "udh16", "sar", "payload"])
async def test_a_long_text_is_delivered_as_it_was_asked_for(smsc, long):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        order = [0] if long == "payload" else [1, 0, 2]
        deliveries = await smsc.send_text(PHONE, "1566", LONG, long=long, order=order)
        bodies = {}
        for _ in deliveries:
            pdu = await esme.read()
            esme.answer(pdu)
            message = pdu.message_payload or pdu.short_message
            header = message[: message[0] + 1] if long.startswith("udh") else b""
            bodies[header[-1] if header else pdu.sar_segment_seqnum or 0] = message[len(header) :]
        assert [await delivery for delivery in deliveries] == [0] * len(order)
        whole = b"".join(bodies[number] for number in sorted(bodies))
        assert whole == smpplib.gsm.gsm_encode(LONG)
        if smsc.can("keep_order"):
            assert list(bodies) == ([0] if long == "payload" else [2, 1, 3])


async def test_vendor_tlvs_are_delivered(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        delivery = await smsc.deliver(
            PHONE, "1566", b"", tlvs={0x1383: b"\x01\x02", 0x1401: b"vendor"}
        )
        pdu = await esme.read()
        esme.answer(pdu)
        assert await delivery == 0
        assert pdu.its_session_info == 0x0102


async def test_a_text_to_nobody_fails(smsc):
    [delivery] = await smsc.send_text(PHONE, "1566", "KT")
    with pytest.raises(ConnectionError):
        await delivery


@pytest.mark.rule("SMPP-5")
async def test_submitted_texts_reach_the_phone_whole(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        for part in reversed(smpplib.gsm.make_parts(LONG)[0]):
            assert (await esme.submit_and_read(part, esm_class=0x40, data_coding=0)).status == 0
        accented = "Cảm ơn Quý khách".encode("utf-16-be")
        assert (await esme.submit_and_read(accented, data_coding=8)).message_id == b"4"
        await esme.submit_and_read(b"", message_payload=b"payload", data_coding=0)
        for number in (2, 1):
            await esme.submit_and_read(
                b"%d" % number, sar_msg_ref_num=9, sar_total_segments=2, sar_segment_seqnum=number
            )
        assert await smsc.wait_text(PHONE, 4) == [LONG, "Cảm ơn Quý khách", "payload", "12"]
        assert smsc.submitted[-1]["destination"] == PHONE


@pytest.mark.rule("SMPP-7")
async def test_submitted_ussd_tlvs_are_told(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit_and_read(ussd_service_op=2, its_session_info=0x0102)
        submitted = await smsc.next_event("submit_sm")
        assert submitted["tlvs"] == {str(0x0501): "02", str(0x1383): "0102"}


@pytest.mark.rule("SMPP-7")
async def test_a_screen_is_no_text_and_a_phone_answers_it(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        mine = phone(smsc, PHONE)
        await esme.submit_and_read(b"1 Goi cuoc", ussd_service_op=2, its_session_info=0x2802)
        screen = await mine.next_screen()
        assert (screen.text, screen.operation, screen.ends) == ("1 Goi cuoc", 2, False)
        assert smsc.mailbox.texts_to(PHONE) == []
        delivery = await mine.send(18, "1")
        operation, pdu = await asyncio.to_thread(read_ussd, esme.client)
        esme.answer(pdu)
        assert await delivery == 0
        assert operation == 18
        assert (pdu.short_message, pdu.its_session_info) == (b"1", 0x2802)


@pytest.mark.rule("SMPP-5")
async def test_submits_are_throttled_left_unanswered_or_refused_as_asked(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.answer(0x58, 0x14, None, afterwards=0x0B)
        statuses = [(await esme.submit_and_read()).status for _ in range(2)]
        esme.submit(b"silence")
        statuses += [(await esme.submit_and_read()).status]
        assert statuses == [0x58, 0x14, 0x0B]
        await smsc.answer()
        assert (await esme.submit_and_read()).status == 0
        assert await smsc.wait_text(PHONE, 2) == ["silence", "Xin chao"]


@pytest.mark.rule("SMPP-6")
async def test_enquire_link_is_answered_and_sent(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        esme.client.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=esme.client))
        assert (await esme.read()).command == "enquire_link_resp"
        if smsc.can("enquire_link"):
            asked = asyncio.create_task(smsc.enquire_link())
            esme.answer(await esme.read())
            await asked


@pytest.mark.rule("SMPP-6")
async def test_the_esme_may_unbind(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        esme.client.send_pdu(smpplib.smpp.make_pdu("unbind", client=esme.client))
        answers = await esme.read_to_the_end()
        # Who cannot be counted on to answer ends the connection, sometimes after an answer.
        assert answers == ["unbind_resp"] or (not answers and not smsc.can("answer_unbind"))
        await smsc.next_event("unbound")
    await smsc.next_event("closed")


@pytest.mark.rule("SMPP-6")
async def test_the_smsc_may_unbind(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        await smsc.unbind()
        request = await esme.read()
        assert request.command == "unbind"
        esme.answer(request)
        if smsc.can("take_unbind_resp"):
            with pytest.raises(smpplib.exceptions.ConnectionError):
                await esme.read()
        else:
            assert (await esme.read()).command == "generic_nack"
    await smsc.next_event("unbind_resp")
    await smsc.next_event("closed")


@pytest.mark.rule("SMPP-6")
async def test_a_dropped_session_ends_without_unbind_and_a_new_one_is_taken(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        await smsc.drop()
        with pytest.raises(smpplib.exceptions.ConnectionError):
            await esme.read()
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")


@pytest.mark.rule("SMPP-6")
async def test_an_smsc_that_is_dead_or_refuses_comes_back_on_its_port(smsc):
    await smsc.refuse()
    with pytest.raises(smpplib.exceptions.ConnectionError):
        async with Esme(smsc):
            pass
    await smsc.accept()
    async with Esme(smsc) as esme:
        await esme.bind()
    await smsc.die()
    with pytest.raises(smpplib.exceptions.ConnectionError):
        async with Esme(smsc):
            pass
    await smsc.start()
    async with Esme(smsc) as esme:
        await esme.bind()


@pytest.mark.rule("SMPP-2")
async def test_a_text_whose_session_ends_is_told_as_failed(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.next_event("bound")
        [delivery] = await smsc.send_text(PHONE, "1566", "KT")
        await esme.read()
    with pytest.raises(ConnectionError):
        await delivery
