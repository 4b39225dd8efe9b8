"""The simulated SMSC against two clients that are not telcod's: smpplib's and smpp34's."""

import asyncio
import datetime as dt
import ipaddress
import ssl

import pytest
import smpp34
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telcod.simulator.smsc import GARBAGE, SimulatedSmsc
from telcod.simulator.smsc_behaviour import (
    SILENCE,
    STATUS_THROTTLED,
    STATUS_TRY_LATER,
    Behaviour,
    BindMode,
    Fault,
    FaultKind,
    ReceiptForm,
    throttle_first,
)
from telcod.simulator.smsc_log import Direction
from telcod.simulator.smsc_text import Concat, decode_text, split_udh

PHONE = "84903123456"
LONG = "Quy khach da dang ky goi " * 12
WAIT_S = 10
REFUSED = smpplib.exceptions.PDUError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def smsc():
    async with SimulatedSmsc() as running:
        yield running


class Esme:
    """smpplib's own client in a thread; keeps what it is sent and answers with `status`."""

    def __init__(self, smsc, *, status=0, answer=True, ssl_context=None):
        self.client = smpplib.client.Client(
            smsc.host,
            smsc.port,
            timeout=WAIT_S,
            allow_unknown_opt_params=True,
            ssl_context=ssl_context,
        )
        self.client.set_error_pdu_handler(lambda _: None)
        self.client.set_message_sent_handler(self._note)
        self.client.set_message_received_handler(self._take)
        self.status = status
        self.answer = answer
        self.received = []
        self.answers = []

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

    async def bind(self, mode="transceiver", *, system_id="telcod", password="secret"):
        bind = getattr(self.client, f"bind_{mode}")
        return await asyncio.to_thread(bind, system_id=system_id, password=password)

    async def read(self, count=1):
        """Read so many PDUs and act on them as smpplib does."""
        for _ in range(count):
            await asyncio.to_thread(self._read_one)

    async def submit(self, text=b"Xin chao", **fields):
        return await asyncio.to_thread(
            lambda: self.client.send_message(
                source_addr="1566", destination_addr=PHONE, short_message=text, **fields
            )
        )

    async def submit_and_read(self, text=b"Xin chao", **fields):
        await self.submit(text, **fields)
        await self.read()
        return self.answers[-1] if self.answers else None

    def _read_one(self):
        if self.answer:
            self.client.read_once(auto_send_enquire_link=False)
        else:
            self.received.append(self.client.read_pdu())

    def _note(self, pdu):
        self.answers.append(pdu)

    def _take(self, pdu):
        if pdu.command == "deliver_sm":
            self.received.append(pdu)
        return self.status


def body(pdu):
    return {name: getattr(pdu, name, None) for name in pdu.params_order}


async def smpp34_client(smsc):
    client = smpp34.Client(smsc.host, smsc.port, "telcod", "secret", bind_type="TRX")
    return client, await client.connect()


# --- binds ------------------------------------------------------------------------------------


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize("mode", list(BindMode))
async def test_a_bind_in_each_mode_is_accepted(smsc, mode):
    async with Esme(smsc) as esme:
        answer = await esme.bind(mode)
        assert (answer.system_id, answer.sc_interface_version) == (b"SIMSMSC", 0x34)
        await smsc.wait_bound()
        assert [connection.mode for connection in smsc.bound()] == [mode]


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ({"password": "wrong"}, smpplib.consts.SMPP_ESME_RINVPASWD),
        ({"system_id": "other"}, smpplib.consts.SMPP_ESME_RINVSYSID),
    ],
)
async def test_wrong_credentials_are_refused_and_the_password_is_not_logged(
    smsc, credentials, status
):
    async with Esme(smsc) as esme:
        with pytest.raises(REFUSED) as refusal:
            await esme.bind(**credentials)
    assert refusal.value.args[1] == status
    assert "wrong" not in smsc.conversation.render()
    assert "secret" not in smsc.conversation.render()


async def test_binds_are_refused_as_the_behaviour_says(smsc):
    smsc.behave(Behaviour(bind_answers=(5, 8), bind_modes=(BindMode.TRANSCEIVER,)))
    statuses = []
    for mode in ("receiver", "transceiver", "transceiver"):
        async with Esme(smsc) as esme:
            with pytest.raises(REFUSED) as refusal:
                await esme.bind(mode)
            statuses.append(refusal.value.args[1])
    assert statuses == [smpplib.consts.SMPP_ESME_RBINDFAIL, 5, 8]
    async with Esme(smsc) as esme:
        await esme.bind()


async def test_a_second_bind_on_a_connection_is_refused(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        esme.client.state = smpplib.consts.SMPP_CLIENT_STATE_OPEN
        with pytest.raises(REFUSED) as refusal:
            await esme.bind()
    assert refusal.value.args[1] == smpplib.consts.SMPP_ESME_RALYBND


async def test_a_3_3_smsc_names_no_version(smsc):
    smsc.behave(Behaviour(sc_interface_version=None))
    async with Esme(smsc) as esme:
        assert (await esme.bind()).sc_interface_version is None


@pytest.mark.rule("SMPP-8")
async def test_a_bind_over_tls_is_accepted(tmp_path):
    server, client = tls_contexts(tmp_path)
    async with SimulatedSmsc(ssl_context=server) as smsc, Esme(smsc, ssl_context=client) as esme:
        await esme.bind()
        sent = smsc.send_text(PHONE, "1566", "KT")
        await esme.read()
        assert await sent[0] == 0


def tls_contexts(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    day = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(day)
        .not_valid_after(day + dt.timedelta(days=36_500))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + certificate.public_bytes(pem))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "both.pem")
    client = ssl.create_default_context(cafile=folder / "both.pem")
    client.check_hostname = False  # smpplib's client does not tell TLS the host's name.
    return server, client


# --- texts to the ESME -------------------------------------------------------------------------


@pytest.mark.rule("SMPP-2")
async def test_a_text_is_delivered_and_its_answer_told(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        [sent] = smsc.send_text(PHONE, "1566", "KT W")
        await esme.read()
        assert await sent == 0
        assert (sent.settled, sent.attempts) == (True, 1)
        [pdu] = esme.received
        assert (pdu.source_addr, pdu.destination_addr) == (PHONE.encode(), b"1566")
        assert (pdu.short_message, pdu.data_coding, pdu.source_addr_ton) == (b"KT W", 0, 1)


async def test_an_accented_text_goes_as_ucs2(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        smsc.send_text(PHONE, "1566", "Đăng ký")
        await esme.read()
        assert esme.received[0].data_coding == 8
        assert esme.received[0].short_message.decode("utf-16-be") == "Đăng ký"


@pytest.mark.rule("SMPP-3")
@pytest.mark.parametrize("long", ["udh8", "udh16"])
async def test_a_long_text_goes_as_parts_in_the_order_asked_for(smsc, long):
    async with Esme(smsc) as esme:
        await esme.bind("receiver")
        sent = smsc.send_text(PHONE, "1566", LONG, long=long, reference=300, order=[1, 0])
        await esme.read(2)
        assert [await each for each in sent] == [0, 0]
        (last, end), (first, start) = [split_udh(pdu.short_message) for pdu in esme.received]
        number = 300 if long == "udh16" else 300 & 0xFF
        assert (first, last) == (Concat(number, 2, 1), Concat(number, 2, 2))
        assert decode_text(start + end, 0) == LONG


@pytest.mark.rule("SMPP-3")
async def test_a_long_text_goes_by_sar_or_payload(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        smsc.send_text(PHONE, "1566", LONG, long="sar", reference=4)
        smsc.send_text(PHONE, "1566", LONG, long="payload")
        await esme.read(3)
        one, two, whole = esme.received
        assert (one.sar_msg_ref_num, one.sar_total_segments, one.sar_segment_seqnum) == (4, 2, 1)
        assert two.sar_segment_seqnum == 2
        assert decode_text(one.short_message + two.short_message, 0) == LONG
        assert decode_text(whole.message_payload, 0) == LONG


@pytest.mark.rule("SMPP-2")
async def test_a_data_sm_is_delivered_too(smsc):
    client, esme = await smpp34_client(smsc)
    sent = smsc.send_deliver(
        command="data_sm", source_addr=PHONE, destination_addr="1566", message_payload=b"KT"
    )
    # smpp34's client has no data_sm; whatever it says, it is the answer to this request.
    assert await sent == sent.statuses[0]
    await esme.unbind()
    await client.stop()


async def test_a_wrong_field_is_told_at_once(smsc):
    with pytest.raises(ValueError, match="colour"):
        smsc.send_deliver(colour="red")
    assert smsc.waiting == 0


@pytest.mark.rule("SMPP-7")
async def test_a_ussd_session_and_vendor_tlvs_go_as_given(smsc):
    async with Esme(smsc, answer=False) as esme:
        await esme.bind()
        smsc.send_deliver(
            source_addr=PHONE,
            its_session_info=0x0102,
            ussd_service_op=b"\x01",
            tlvs=((0x1401, b"x"),),
        )
        raw = await asyncio.to_thread(esme.client._socket.recv, 4096)
        assert raw.endswith(bytes.fromhex("1383 0002 0102 0501 0001 01 1401 0001 78"))


# --- store and forward -------------------------------------------------------------------------


async def test_texts_wait_in_order_until_an_esme_is_there(smsc):
    for number in range(3):
        smsc.send_text(PHONE, "1566", f"B 090312345{number}")
    assert smsc.waiting == 3
    async with Esme(smsc) as esme:
        await esme.bind("transmitter")
        await smsc.wait_bound()
        assert smsc.waiting == 3
    async with Esme(smsc) as esme:
        await esme.bind("receiver")
        await esme.read(3)
        texts = [pdu.short_message for pdu in esme.received]
    assert texts == [b"B 0903123450", b"B 0903123451", b"B 0903123452"]


@pytest.mark.rule("SMPP-2")
async def test_what_was_left_unanswered_comes_again_with_the_same_body(smsc):
    sent = [smsc.send_text(PHONE, "1566", text)[0] for text in ("DK", "HUY")]
    async with Esme(smsc, answer=False) as esme:
        await esme.bind()
        await esme.read(2)
        first = [body(pdu) for pdu in esme.received]
    await smsc.wait_until(lambda: smsc.waiting == 2, "both queued again")
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.read(2)
        assert [body(pdu) for pdu in esme.received] == first
        assert [await each.taken() for each in sent] == [0, 0]
    assert [each.attempts for each in sent] == [2, 2]


async def test_an_smsc_that_does_not_retry_forgets_what_was_unanswered(smsc):
    smsc.behave(Behaviour(retry_unanswered=False))
    [sent] = smsc.send_text(PHONE, "1566", "DK")
    async with Esme(smsc, answer=False) as esme:
        await esme.bind()
        await esme.read()
    await smsc.wait_until(lambda: sent.settled, "given up")
    assert (smsc.waiting, sent.statuses) == (0, [])


@pytest.mark.rule("SMPP-2")
async def test_a_text_refused_for_now_comes_again_on_demand(smsc):
    async with Esme(smsc, status=STATUS_TRY_LATER) as esme:
        await esme.bind()
        [sent] = smsc.send_text(PHONE, "1566", "DK")
        await esme.read()
        assert await sent == STATUS_TRY_LATER
        assert (smsc.waiting, sent.settled) == (1, False)
        esme.status = 0
        assert smsc.retry() == 1
        await esme.read()
        assert await sent.taken() == 0
    assert sent.statuses == [STATUS_TRY_LATER, 0]
    assert (smsc.waiting, smsc.retry()) == (0, 0)


async def test_a_text_refused_for_now_comes_again_after_the_pause(smsc):
    smsc.behave(Behaviour(retry_pause_s=0.0))
    async with Esme(smsc, status=STATUS_TRY_LATER) as esme:
        await esme.bind()
        [sent] = smsc.send_text(PHONE, "1566", "DK")
        await esme.read(2)
        assert await sent.answered(2) == STATUS_TRY_LATER
        esme.status = 0
        await esme.read()
        assert await sent.taken() == 0


async def test_a_text_refused_for_good_does_not_come_again(smsc):
    async with Esme(smsc, status=smpplib.consts.SMPP_ESME_RX_P_APPN) as esme:
        await esme.bind()
        [sent] = smsc.send_text(PHONE, "1566", "DK")
        await esme.read()
        assert await sent.taken() == smpplib.consts.SMPP_ESME_RX_P_APPN
        assert smsc.retry() == 0


async def test_an_unanswered_text_comes_again_on_the_same_connection_on_demand(smsc):
    async with Esme(smsc, answer=False) as esme:
        await esme.bind()
        [sent] = smsc.send_text(PHONE, "1566", "DK")
        await esme.read()
        assert smsc.retry(unanswered=True) == 1
        esme.answer = True
        await esme.read()
        assert await sent == 0
        assert esme.received[0].sequence != esme.received[1].sequence


async def test_no_more_texts_are_unanswered_than_the_window_allows(smsc):
    smsc.behave(Behaviour(window=2))
    async with Esme(smsc) as esme:
        await esme.bind()
        sent = [smsc.send_text(PHONE, "1566", "KT")[0] for _ in range(5)]
        assert [each.attempts for each in sent] == [1, 1, 0, 0, 0]
        await esme.read(5)
        assert [await each for each in sent] == [0] * 5


@pytest.mark.rule("SMPP-1")
async def test_several_receivers_get_the_texts_in_turn(smsc):
    async with Esme(smsc) as one, Esme(smsc) as two, Esme(smsc) as sender:
        await one.bind("receiver")
        await two.bind("transceiver")
        await sender.bind("transmitter")
        await smsc.wait_bound(3)
        sent = [smsc.send_text(PHONE, "1566", f"KT {number}")[0] for number in range(4)]
        await one.read(2)
        await two.read(2)
        assert [await each for each in sent] == [0] * 4
        assert len(one.received) == len(two.received) == 2


# --- texts from the ESME -----------------------------------------------------------------------


@pytest.mark.rule("SMPP-5")
async def test_a_submitted_text_reaches_the_phone(smsc):
    client, esme = await smpp34_client(smsc)
    answer = await esme.submit_sm(PHONE, b"Xin chao", source_addr="1566")
    assert (answer.command_status, answer.message_id) == (0, "1000000010")
    assert await smsc.wait_text(PHONE) == ["Xin chao"]
    assert smsc.texts_to("84900000000") == []
    await esme.unbind()
    await client.stop()


@pytest.mark.rule("SMPP-5")
async def test_submitted_parts_are_one_text(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        parts, coding, esm_class = smpplib.gsm.make_parts(LONG)
        for part in reversed(parts):
            await esme.submit_and_read(part, data_coding=coding, esm_class=esm_class)
        await esme.submit_and_read(b"", message_payload="Cảm ơn".encode("utf-16-be"), data_coding=8)
        for number, body in enumerate((b"mot ", b"hai"), 1):
            await esme.submit_and_read(
                body, sar_msg_ref_num=1, sar_total_segments=2, sar_segment_seqnum=number
            )
    assert smsc.texts_to(PHONE) == [LONG, "Cảm ơn", "mot hai"]
    assert smsc.submitted[0].concat.number == 2


@pytest.mark.rule("SMPP-5")
async def test_the_first_submits_are_throttled_and_do_not_reach_the_phone(smsc):
    smsc.behave(throttle_first(2))
    async with Esme(smsc) as esme:
        await esme.bind()
        statuses = [(await esme.submit_and_read()).status for _ in range(3)]
    assert statuses == [STATUS_THROTTLED, STATUS_THROTTLED, 0]
    assert smsc.texts_to(PHONE) == ["Xin chao"]
    assert [each.status for each in smsc.submitted] == statuses


@pytest.mark.rule("SMPP-5")
async def test_a_submit_left_unanswered_reaches_the_phone_all_the_same(smsc):
    smsc.behave(Behaviour(submit_answers=(SILENCE, 0x0A), submit_status=0x0B))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit(b"mot")
        assert await smsc.wait_text(PHONE) == ["mot"]
        statuses = [(await esme.submit_and_read()).status for _ in range(2)]
    assert statuses == [0x0A, 0x0B]
    assert smsc.texts_to(PHONE) == ["mot"]


async def test_responses_are_held_back_and_let_go_latest_first(smsc):
    smsc.behave(Behaviour(hold_responses=3, release_reversed=True))
    async with Esme(smsc) as esme:
        await esme.bind()
        asked = [(await esme.submit()).sequence for _ in range(3)]
        await esme.read(3)
        assert [answer.sequence for answer in esme.answers] == asked[::-1]
        last = await esme.submit()
        await smsc.wait_text(PHONE, 4)
        smsc.release()
        await esme.read()
        assert esme.answers[-1].sequence == last.sequence


async def test_responses_are_doubled_on_demand(smsc):
    smsc.behave(Behaviour(duplicate_responses=True))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit()
        await esme.read(2)
        one, two = esme.answers
        assert (one.sequence, body(one)) == (two.sequence, body(two))


@pytest.mark.parametrize("mode", ["receiver", None])
async def test_a_submit_is_refused_on_a_connection_that_may_not(smsc, mode):
    async with Esme(smsc) as esme:
        if mode is not None:
            await esme.bind(mode)
        esme.client.state = smpplib.consts.SMPP_CLIENT_STATE_BOUND_TRX
        answer = smpplib.consts.SMPP_ESME_RINVBNDSTS
        await esme.submit()
        assert (await asyncio.to_thread(esme.client.read_pdu)).status == answer
    assert smsc.submitted == []


# --- receipts ----------------------------------------------------------------------------------


@pytest.mark.rule("SMPP-4")
async def test_a_receipt_names_the_message_in_another_notation(smsc):
    smsc.behave(Behaviour(message_id_format="x", receipt_id_format="012d"))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit(b"Xin chao", registered_delivery=1)
        await esme.read(2)
        [answer], [receipt] = esme.answers, esme.received
        assert int(answer.message_id, 16) == int(receipt.receipted_message_id)
        assert receipt.receipted_message_id == b"001000000010"
        assert (receipt.esm_class, receipt.message_state) == (4, 2)
        assert (receipt.source_addr, receipt.destination_addr) == (PHONE.encode(), b"1566")
        assert receipt.short_message.startswith(b"id:001000000010 sub:001 dlvrd:001 ")
        assert await smsc.receipts[0] == 0


@pytest.mark.rule("SMPP-4")
@pytest.mark.parametrize("form", list(ReceiptForm))
async def test_a_receipt_may_come_before_the_response_and_in_each_form(smsc, form):
    smsc.behave(Behaviour(receipt_first=True, receipt_form=form, receipt_delivered=False))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit(b"Xin chao", registered_delivery=2)
        await esme.read(1)
        assert (len(esme.received), len(esme.answers)) == (1, 0)
        await esme.read(1)
        assert len(esme.answers) == 1
        [receipt] = esme.received
        assert (b"stat:UNDELIV" in (receipt.short_message or b"")) == (form != "tlv")
        assert receipt.message_state == (None if form == "text" else 5)


@pytest.mark.parametrize(("asked", "delivered"), [(0, True), (2, True), (0, False)])
async def test_nobody_gets_a_receipt_that_was_not_asked_for(smsc, asked, delivered):
    smsc.behave(Behaviour(receipt_delivered=delivered))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit_and_read(registered_delivery=asked)
    assert smsc.receipts == []


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.rule("SMPP-5")
async def test_the_connection_breaks_before_the_submit_is_looked_at(smsc):
    fault = Fault(kind=FaultKind.DISCONNECT, command="submit_sm", after_pdus=2, before_answer=True)
    smsc.behave(Behaviour(faults=(fault,)))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit_and_read(b"mot")
        await esme.submit(b"hai")
        with pytest.raises(smpplib.exceptions.ConnectionError):
            await esme.read()
    assert smsc.texts_to(PHONE) == ["mot"]
    await smsc.wait_until(lambda: smsc.connection_count == 0, "the end")


async def test_the_connection_breaks_after_the_submit_was_taken(smsc):
    smsc.behave(
        Behaviour(submit_status=SILENCE, faults=(Fault(kind=FaultKind.DISCONNECT, after_pdus=2),))
    )
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit(b"mot")
        with pytest.raises(smpplib.exceptions.ConnectionError):
            await esme.read()
    assert smsc.texts_to(PHONE) == ["mot"]


@pytest.mark.parametrize(
    ("kind", "octets"), [(FaultKind.GARBAGE, GARBAGE), (FaultKind.HALF_PDU, None)]
)
async def test_the_wire_carries_garbage_or_half_a_pdu(smsc, kind, octets):
    smsc.behave(Behaviour(faults=(Fault(kind=kind, command="enquire_link", after_pdus=1),)))
    async with Esme(smsc) as esme:
        await esme.bind()
        enquire = smpplib.smpp.make_pdu("enquire_link", client=esme.client)
        esme.client.send_pdu(enquire)
        await esme.read()
        raw = await asyncio.to_thread(esme.client._socket.recv, 4096)
        length = int.from_bytes(raw[:4], "big")
        assert raw == octets or (octets is None and len(raw) == length // 2)


async def test_a_mute_smsc_keeps_the_connection_and_says_nothing(smsc):
    smsc.behave(Behaviour(faults=(Fault(kind=FaultKind.MUTE, after_pdus=1),)))
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit()
        smsc.send_text(PHONE, "1566", "KT")
        await smsc.wait_until(
            lambda: smsc.conversation.commands(Direction.IN)[-1] == "submit_sm", "submit"
        )
        assert smsc.conversation.commands(Direction.OUT) == ["bind_transceiver_resp"]
        assert (smsc.connection_count, smsc.waiting) == (1, 1)


@pytest.mark.rule("SMPP-6")
async def test_the_smsc_unbinds_by_itself_and_waits_for_the_answer(smsc):
    smsc.behave(
        Behaviour(faults=(Fault(kind=FaultKind.UNBIND, command="submit_sm", after_pdus=1),))
    )
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit_and_read()
        request = await asyncio.to_thread(esme.client.read_pdu)
        assert (request.command, smsc.connection_count) == ("unbind", 1)
        answer = smpplib.smpp.make_pdu("unbind_resp", client=esme.client)
        answer.sequence = request.sequence
        esme.client.send_pdu(answer)
        await smsc.wait_until(lambda: smsc.connection_count == 0, "the end")
    assert smsc.conversation.commands()[-2:] == ["unbind", "unbind_resp"]


@pytest.mark.rule("SMPP-6")
async def test_an_esme_may_unbind(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        answer = await asyncio.to_thread(esme.client.unbind)
        assert answer.command == "unbind_resp"
        await smsc.wait_until(lambda: smsc.connection_count == 0, "the end")


@pytest.mark.rule("SMPP-6")
async def test_enquire_link_goes_both_ways(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        esme.client.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=esme.client))
        await esme.read()
        smsc.enquire_link()
        await esme.read()
        await smsc.wait_until(lambda: not smsc.bound()[0].enquiries, "enquire_link_resp")


@pytest.mark.rule("SMPP-6")
async def test_an_esme_that_leaves_enquire_link_unanswered_is_cut(smsc):
    smsc.behave(Behaviour(enquire_link_s=0.001))
    async with Esme(smsc, answer=False) as esme:
        await esme.bind()
        await smsc.wait_until(lambda: smsc.connection_count == 0, "the end")
    assert "silent" in smsc.conversation.render()


async def test_an_smsc_may_leave_enquire_link_and_unbind_unanswered(smsc):
    smsc.behave(Behaviour(answer_enquire_link=False, answer_unbind=False))
    async with Esme(smsc) as esme:
        await esme.bind()
        for command in ("enquire_link", "unbind"):
            esme.client.send_pdu(smpplib.smpp.make_pdu(command, client=esme.client))
        await esme.submit_and_read()
        assert len(esme.answers) == 1


async def test_a_stopped_smsc_comes_back_on_its_port_with_its_queue(smsc):
    port = smsc.port
    client, esme = await smpp34_client(smsc)
    await smsc.stop()
    assert isinstance(await asyncio.wait_for(esme.next(), WAIT_S), smpp34.Disconnected)
    await client.stop()
    [sent] = smsc.send_text(PHONE, "1566", "KT")
    with pytest.raises(smpplib.exceptions.ConnectionError):
        async with Esme(smsc):
            pass
    await smsc.start()
    assert smsc.port == port
    async with Esme(smsc) as again:
        await again.bind()
        await again.read()
        assert await sent == 0


async def test_a_stopping_smsc_does_not_wait_for_ever_for_an_unbind_resp(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.stop(wait_s=0.01)
        assert (await asyncio.to_thread(esme.client.read_pdu)).command == "unbind"
    assert "not every peer answered" in smsc.conversation.render()


@pytest.mark.rule("SMPP-2")
async def test_a_receiver_may_send_data_sm_but_no_submit_sm(smsc):
    async with Esme(smsc) as esme:
        await esme.bind("receiver")
        data = smpplib.smpp.make_pdu(
            "data_sm", client=esme.client, destination_addr=PHONE, message_payload=b"KT"
        )
        esme.client.send_pdu(data)
        assert (await asyncio.to_thread(esme.client.read_pdu)).command == "data_sm_resp"
    assert smsc.texts_to(PHONE) == ["KT"]


async def test_an_smsc_that_dies_cuts_its_connections_without_unbind(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await smsc.stop(abrupt=True)
        with pytest.raises(smpplib.exceptions.ConnectionError):
            await esme.read()
    assert "unbind" not in smsc.conversation.commands()


async def test_an_smsc_that_refuses_connections_keeps_those_it_has(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        smsc.refuse()
        with pytest.raises(smpplib.exceptions.ConnectionError):
            async with Esme(smsc):
                pass
        await esme.submit_and_read()
        await smsc.accept()
        async with Esme(smsc) as other:
            await other.bind()


# --- what is no PDU, or none of ours -------------------------------------------------------------


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ("00000010 000000ff 00000000 00000007", "00000010 80000000 00000003 00000007"),
        ("00000010 00000008 00000000 00000008", "00000010 80000000 00000003 00000008"),
        ("00000012 00000004 00000000 00000009 00 01", "00000010 80000004 00000002 00000009"),
        ("ffffffff", ""),
        ("ffffffff 000000ff 00000000 00000007", "00000010 80000000 00000002 00000000"),
    ],
)
async def test_bytes_from_a_stranger_are_answered_by_the_book(smsc, data, answer):
    async with Esme(smsc) as esme:
        await esme.bind()
        esme.client._socket.sendall(bytes.fromhex(data))
        if answer:
            raw = await asyncio.to_thread(esme.client._socket.recv, 4096)
            assert raw == bytes.fromhex(answer)


async def test_a_response_to_nothing_is_counted(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        esme.client.send_pdu(smpplib.smpp.make_pdu("deliver_sm_resp", client=esme.client))
        await smsc.wait_until(lambda: smsc.stray_responses == 1, "it")


async def test_raw_bytes_go_to_every_bound_connection(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        smsc.send_raw(b"\x00\x01")
        assert await asyncio.to_thread(esme.client._socket.recv, 16) == b"\x00\x01"


@pytest.mark.rule("SMPP-6")
async def test_an_outbind_asks_the_esme_to_bind(smsc):
    heard = asyncio.get_running_loop().create_future()

    async def esme(reader, writer):
        heard.set_result(await reader.readexactly(16 + len(b"SIMSMSC\0secret\0")))
        writer.close()

    async with await asyncio.start_server(esme, "127.0.0.1", 0) as server:
        await smsc.outbind(*server.sockets[0].getsockname()[:2])
        pdu = await asyncio.wait_for(heard, WAIT_S)
    assert pdu == bytes.fromhex("0000001f 0000000b 00000000 00000001") + b"SIMSMSC\0secret\0"
    await smsc.wait_until(lambda: smsc.connection_count == 0, "the end")
    assert "-- #1 outbind SIMSMSC" in smsc.conversation.render().splitlines()


# --- what people read ----------------------------------------------------------------------------


async def test_the_conversation_reads_like_one(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        await esme.submit_and_read(b"Xin chao")
        smsc.send_text(PHONE, "1566", LONG, reference=5)
        await esme.read(2)
        await smsc.wait_until(
            lambda: smsc.conversation.commands().count("deliver_sm_resp") == 2, ""
        )
    bind, answer, submit, response, *deliveries = [
        str(line) for line in smsc.conversation.lines if line.sequence is not None
    ]
    assert bind == "-> #1 bind_transceiver seq=2 system_id=telcod"
    assert answer == "<- #1 bind_transceiver_resp seq=2 system_id=SIMSMSC"
    assert submit == (
        "-> #1 submit_sm seq=3 source_addr=1566 destination_addr=84903123456 text='Xin chao'"
    )
    assert response == "<- #1 submit_sm_resp seq=3 message_id=1000000010"
    assert deliveries[0].startswith(
        "<- #1 deliver_sm seq=1 source_addr=84903123456 destination_addr=1566 esm_class=64 "
        "part=1/2 reference=5 text='Quy khach"
    )
    assert deliveries[-1] == "-> #1 deliver_sm_resp seq=2"


@pytest.mark.rule("PAY-1")
async def test_a_payment_password_is_not_in_the_conversation(smsc):
    async with Esme(smsc) as esme:
        await esme.bind()
        for text in ("MK hemligt1", '"mk  Hemligt1"', "MK\nhemligt1"):
            smsc.send_text(PHONE, "9223", text)
        await esme.read(3)
    assert "hemligt1" not in smsc.conversation.render().lower()
    assert smsc.conversation.render().count("***") == 3


async def test_waiting_for_what_does_not_come_says_what(smsc):
    with pytest.raises(TimeoutError, match=r"text 1 to 84903123456: not within 0\.01 s"):
        await smsc.wait_text(PHONE, wait_s=0.01)
    [sent] = smsc.send_text(PHONE, "1566", "KT")
    with pytest.raises(TimeoutError, match="answer 1 to deliver_sm"):
        await sent.answered(wait_s=0.01)
    with pytest.raises(TimeoutError, match="a final answer"):
        await sent.taken(wait_s=0.01)
