"""Telcod against SMSCs that nobody here wrote: the npm package smpp, PyPI's smpp34."""

import pytest

from telcod.rows import OUTBOX_SMS, OutboxState
from telcod.simulator.smsc_text import Long
from tests.e2e.harness import Telcod, link
from tests.foreign.peers import NPM, PEERS, SMPP34, TAGS, ForeignSmsc

A, B, C = 84903000001, 84903000002, 84903000003
POSTPAID = 84903000009
NUMBERS = tuple(range(84903000100, 84903000120))
LONG_LIST = "B " + " ".join(f"0{number - 84_000_000_000}" for number in NUMBERS)
THROTTLED, NO_SUCH_NUMBER = 0x58, 0x0B
ESM_RECEIPT = 0x04

pytestmark = [
    pytest.mark.anyio,
    # The peers' processes share the ports and the cores of one machine with the other tests.
    pytest.mark.xdist_group("foreign"),
]


@pytest.fixture(params=PEERS, ids=str)
async def smsc(request):
    async with ForeignSmsc(request.param) as running:
        yield running


@pytest.fixture
async def npm():
    async with ForeignSmsc(NPM) as running:
        yield running


@pytest.fixture
async def telcod(smsc, tmp_path):
    async with Telcod(tmp_path, link(smsc)) as running:
        await joined(running, smsc)
        await prepare(running)
        yield running


async def joined(telcod, smsc, *, times=1, connections=1):
    """Wait until both sides say that they are bound, for so many times."""
    await telcod.wait_bound(times=times)
    for _ in range(connections):
        await smsc.next_event("bound")


async def prepare(telcod):
    await telcod.subscribers(
        *({"msisdn": msisdn} for msisdn in (A, B, C, *NUMBERS)),
        {"msisdn": POSTPAID, "kind": "postpaid", "balance_vnd": 0},
    )


async def texted(smsc, msisdn, text, *, code="1566", **how):
    """Send a phone's text, see each part answered OK, and give the text that comes back."""
    before = len(smsc.mailbox.texts_to(str(msisdn)))
    for delivery in await smsc.send_text(str(msisdn), code, text, **how):
        assert await delivery == 0
    return (await smsc.wait_text(str(msisdn), before + 1))[-1]


# ------------------------------------------------------------------------------------------ binds


@pytest.mark.rule("SMPP-1", "KW-7")
@pytest.mark.parametrize("bind", ["transceiver", "split"])
async def test_a_text_is_answered_over_each_kind_of_bind(smsc, tmp_path, bind):
    async with Telcod(tmp_path, link(smsc, bind=bind)) as telcod:
        await joined(telcod, smsc, connections=2 if bind == "split" else 1)
        await prepare(telcod)
        [delivery] = await smsc.send_text(str(A), "1566", "KT")
        # smpp34 1.5.0 nacks the deliver_sm_resp of a receiver (3.4, table 2-1, allows it).
        if bind == "transceiver" or smsc.peer is not SMPP34:
            assert await delivery == 0
        [text] = await smsc.wait_text(str(A))
        assert "chua dang ky goi Payforme" in text
    assert telcod.count_told("is bound") == 1
    assert telcod.told[-1] == "telcod has stopped"


@pytest.mark.rule("SMPP-1", "SMPP-8")
async def test_a_wrong_password_is_said_plainly_and_tried_again_gently(npm, tmp_path):
    settings = link(npm, password="wr0ng-1", reconnect_max_s=0.2)
    async with Telcod(tmp_path, settings) as telcod:
        ended = await telcod.wait_logged("link.ended", times=2)
        assert "bind refused" in ended[0]["reason"]
        assert telcod.daemon.ready_lacks() == ["no SMPP link is bound"]
        assert telcod.count_told("is bound") == 0
        assert "wr0ng-1" not in telcod.log.text


# --------------------------------------------------------------------------------------- keywords

SCRIPT = (
    (A, "1566", "HD", "Payforme - nguoi nghe tra tien"),
    (A, "1566", "KT", "Quy khach chua dang ky goi Payforme"),
    (A, "1566", "W 0903000002", "De dung whitelist, Quy khach can dang ky"),
    (A, "1566", "DK", "mien phi dung thu"),
    (A, "1566", "KT", "Quy khach dang dung thu mien phi goi ngay"),
    (A, "1566", "W 0903000002", "Da them vao whitelist: 0903000002"),
    (A, "1566", "KT W", "Whitelist cua Quy khach co 1 so: 0903000002"),
    (A, "1566", "XOAW 0903000002", "Da xoa khoi whitelist: 0903000002"),
    (A, "1566", "B 0903000003", "Da them vao blacklist: 0903000003"),
    (A, "1566", "KT B", "Blacklist cua Quy khach co 1 so: 0903000003"),
    (A, "1566", "XOAB", "Da xoa khoi blacklist: 0903000003"),
    (A, "1566", "HUY", "Quy khach da huy goi ngay"),
    (A, "1566", "DK7", "gia 5.000d"),
    (A, "1566", "KT CUOC", "goi tuan 5.000d"),
    (A, "1566", "TC", "Quy khach se khong nhan thong bao"),
    (A, "1566", "ON", "Quy khach se nhan thong bao"),
    (A, "1566", "Y", "Quy khach khong co yeu cau nao"),
    (A, "1566", "N", "Quy khach khong co yeu cau nao"),
    (A, "1566", "HELLO", "Xin loi, cu phap"),
    (A, "1566", "NN EN", ""),
    (A, "1566", "NN VI", "Tu nay Quy khach nhan tin nhan bang tieng Viet"),
    (POSTPAID, "9223", "MK abcd12", "dang ky mat khau thanh toan thanh cong"),
    (POSTPAID, "9223", "MK abcd34", "thay doi mat khau thanh toan thanh cong"),
    (A, "9223", "MK abcd12", "chi danh cho thue bao tra sau"),
    (POSTPAID, "9223", "NHAN", "chua co giao dich thanh toan nao"),
    (POSTPAID, "9223", "HD", "Thanh toan cuoc qua the"),
    (84912345678, "1566", "DK", "Dich vu chi danh cho thue bao MobiFone"),
)


@pytest.mark.rule("KW-1", "KW-2", "KW-4", "KW-6", "KW-7", "PKG-1", "LST-1", "PAY-1")
async def test_every_keyword_is_answered(smsc, telcod):
    for msisdn, code, text, answer in SCRIPT:
        got = await texted(smsc, msisdn, text, code=code)
        assert answer in got, text
    assert await telcod.wait_settled(len(SCRIPT)) == [OutboxState.ACCEPTED] * len(SCRIPT)
    assert await telcod.balance(A) == 20_000 - 5_000
    assert len(await telcod.journal()) == len(SCRIPT)


@pytest.mark.rule("SMPP-3", "KW-1")
@pytest.mark.parametrize("text", ["Đăng ký", "ĐĂNG KÝ", "đăng\u200b ký gửi 1566"])
async def test_vietnamese_accents_in_ucs_2_do_not_matter(smsc, telcod, text):
    assert "mien phi dung thu" in await texted(smsc, A, text)
    assert [row.text for row in await telcod.journal()] == [text]


# ------------------------------------------------------------------------------------- long texts


@pytest.mark.rule("SMPP-3", "SMPP-5", "KW-5")
@pytest.mark.parametrize(
    ("long", "order", "sent_as"),
    [
        (Long.UDH8, (1, 0), "udh"),
        (Long.UDH16, (1, 0), "sar"),
        (Long.SAR, (1, 0), "payload"),
        (Long.PAYLOAD, None, "udh"),
    ],
)
async def test_long_texts_pass_both_ways(smsc, tmp_path, long, order, sent_as):
    async with Telcod(tmp_path, link(smsc, long_text=sent_as)) as telcod:
        await joined(telcod, smsc)
        await prepare(telcod)
        got = await texted(smsc, A, LONG_LIST, long=long, order=order)
        assert got.startswith("Da them vao blacklist: 0903000100, 0903000101")
        assert await telcod.listed(A) == list(NUMBERS)
        parts = [event for event in smsc.submitted if event["destination"] == str(A)]
        assert len(parts) == (1 if sent_as == "payload" else 3)
        assert all(event["payload"] == (sent_as == "payload") for event in parts)
        assert all(bool(event["esm_class"] & 0x40) == (sent_as == "udh") for event in parts)


@pytest.mark.rule("SMPP-3")
async def test_a_long_text_in_ucs_2_passes_and_its_pieces_may_come_twice(smsc, telcod):
    got = await texted(smsc, A, LONG_LIST, data_coding=8, order=(2, 0, 2, 1, 3))
    assert got.startswith("Da them vao blacklist")
    assert await telcod.listed(A) == list(NUMBERS)


@pytest.mark.rule("SMPP-1", "SMPP-3")
async def test_parts_of_one_text_may_come_over_two_links(npm, tmp_path):
    async with (
        ForeignSmsc(SMPP34) as other,
        Telcod(tmp_path, link(npm), link(other, "b", default_alphabet="latin1")) as telcod,
    ):
        await telcod.wait_bound("a")
        await telcod.wait_bound("b")
        await prepare(telcod)
        [second] = await npm.send_text(str(A), "1566", LONG_LIST, order=[1])
        assert await second == 0
        [first] = await other.send_text(str(A), "1566", LONG_LIST, order=[0])
        assert await first == 0
        assert await telcod.listed(A) == list(NUMBERS)
        await telcod.wait_settled(1)
        assert npm.mailbox.texts_to(str(A)) or other.mailbox.texts_to(str(A))


# ------------------------------------------------------------------------------- life of the link


@pytest.mark.rule("SMPP-6")
async def test_enquire_link_is_answered_and_sent(smsc, tmp_path):
    async with Telcod(tmp_path, link(smsc, enquire_link_s=1)) as telcod:
        await joined(telcod, smsc)
        if smsc.can("enquire_link"):
            await smsc.enquire_link()
        frames = []

        def tap(direction, frame):
            frames.append((direction, int.from_bytes(frame[4:8])))
            telcod.watch.changed()

        telcod.daemon.gateway.links[0].watch(lambda _: tap)
        await telcod.watch.until(
            lambda: frames[-1:] == [("in", 0x8000_0015)], what="the answer to our enquire_link"
        )
        assert ("out", 0x0000_0015) in frames


@pytest.mark.rule("SMPP-6")
async def test_an_unbind_of_the_smsc_is_answered_and_the_link_comes_back(smsc, telcod):
    await smsc.unbind()
    await smsc.next_event("unbind_resp")
    await smsc.next_event("closed")
    await telcod.wait_told("is no longer bound")
    await joined(telcod, smsc, times=2)
    assert "chua dang ky" in await texted(smsc, A, "KT")


@pytest.mark.rule("SMPP-6", "CLI-1")
async def test_a_link_that_is_down_at_start_is_bound_when_the_smsc_comes(tmp_path):
    smsc = ForeignSmsc(SMPP34)
    async with smsc:
        await smsc.die()
        async with Telcod(tmp_path, link(smsc)) as telcod:
            await telcod.wait_logged("link.unreachable")
            assert telcod.daemon.ready_lacks() == ["no SMPP link is bound"]
            await prepare(telcod)
            await smsc.start()
            await joined(telcod, smsc)
            assert telcod.daemon.ready_lacks() == []
            assert "chua dang ky" in await texted(smsc, A, "KT")


@pytest.mark.rule("SMPP-2", "SMPP-5", "SMPP-6")
async def test_an_smsc_that_dies_in_mid_flow_loses_nothing_and_doubles_nothing(smsc, telcod):
    texts = [(str(msisdn), f"B {msisdn + 1}") for msisdn in NUMBERS]
    before, after = texts[:8], texts[8:]
    for msisdn, text in before:
        await smsc.send_text(msisdn, "1566", text)
    await smsc.next_event("deliver_resp")  # Some are done now, some under way, some not yet sent.
    await smsc.die()
    await smsc.start()
    await joined(telcod, smsc, times=2)
    # It cannot know which answers it would have seen, so all of them come again.
    for msisdn, text in texts:
        [delivery] = await smsc.send_text(msisdn, "1566", text)
        assert await delivery == 0
    for msisdn, _ in texts:
        await smsc.wait_text(msisdn)
    assert await telcod.wait_settled(len(texts)) == [OutboxState.ACCEPTED] * len(texts)
    assert sorted(row.source for row in await telcod.journal()) == sorted(dict(texts))
    assert sorted(row.destination for row in await telcod.outbox()) == sorted(dict(texts))
    redelivered = len(telcod.log.events("text.redelivered"))
    assert 1 <= redelivered <= len(before) < len(before) + len(after)


# --------------------------------------------------------------------------- answers to our submits


@pytest.mark.rule("SMPP-5")
async def test_a_throttled_text_comes_a_little_later_and_once(smsc, telcod):
    await smsc.answer(THROTTLED, THROTTLED, THROTTLED)
    assert "chua dang ky" in await texted(smsc, A, "KT")
    assert await telcod.wait_settled(1) == [OutboxState.ACCEPTED]
    assert [event["status"] for event in smsc.submitted] == [THROTTLED] * 3 + [0]
    assert telcod.daemon.gateway.links[0].counters.throttled == 3


@pytest.mark.rule("SMPP-5")
async def test_a_submit_without_an_answer_is_sent_again_and_said_to_be_doubled(smsc, tmp_path):
    async with Telcod(tmp_path, link(smsc, response_wait_s=1)) as telcod:
        await joined(telcod, smsc)
        await prepare(telcod)
        await smsc.answer(None)
        await texted(smsc, A, "KT")
        await smsc.wait_text(str(A), 2)  # The SMSC had taken it.
        [line] = await telcod.wait_logged("text.possibly_doubled")
        assert line["outbox"] == 1
        assert await telcod.wait_settled(1) == [OutboxState.ACCEPTED]
        first, again = smsc.submitted
        assert first["tlvs"] == again["tlvs"]  # The same user_message_reference tells.


@pytest.mark.rule("SMPP-5", "SMPP-6")
async def test_a_submit_whose_connection_is_cut_is_sent_again_after_the_reconnect(smsc, telcod):
    await smsc.answer(None)
    await texted(smsc, A, "KT")
    await smsc.drop()
    await telcod.wait_logged("text.possibly_doubled")
    await smsc.wait_text(str(A), 2)
    assert await telcod.wait_settled(1) == [OutboxState.ACCEPTED]


@pytest.mark.rule("SMPP-5")
async def test_a_text_that_is_refused_for_good_is_given_up_and_stops_nobody(smsc, telcod):
    await smsc.answer(NO_SUCH_NUMBER)
    for delivery in await smsc.send_text(str(A), "1566", "KT"):
        assert await delivery == 0
    assert "chua dang ky" in await texted(smsc, B, "KT")
    assert await telcod.wait_settled(2) == [OutboxState.FAILED, OutboxState.ACCEPTED]
    [line] = telcod.log.events("text.refused")
    assert line["command_status"] == NO_SUCH_NUMBER
    assert len(smsc.submitted) == 2


@pytest.mark.rule("SMPP-4")
@pytest.mark.parametrize("form", ["text", "tlv"])
async def test_a_receipt_is_matched_by_its_message_id(smsc, tmp_path, form):
    limits = {"texts": {"request_receipts": True}}
    async with Telcod(tmp_path, link(smsc), limits=limits) as telcod:
        await joined(telcod, smsc)
        await prepare(telcod)
        await texted(smsc, A, "KT")
        await texted(smsc, B, "KT")
        assert await telcod.wait_settled(2) == [OutboxState.ACCEPTED] * 2
        assert [event["registered_delivery"] for event in smsc.submitted] == [1, 1]
        for message_id, state, code in (("1", "DELIVRD", 2), ("2", "UNDELIV", 5)):
            text, tlvs = b"", {}
            if form == "text":
                text = f"id:{message_id} sub:001 dlvrd:001 stat:{state} err:000 text:DK".encode()
            else:
                tlvs = {
                    TAGS["receipted_message_id"]: f"{message_id}\0".encode(),
                    TAGS["message_state"]: bytes([code]),
                }
            receipt = await smsc.deliver(str(A), "1566", text, esm_class=ESM_RECEIPT, tlvs=tlvs)
            assert await receipt == 0
        rows = await telcod.rows(OUTBOX_SMS)
        assert [row.state for row in rows] == [OutboxState.DELIVERED, OutboxState.UNDELIVERED]


@pytest.mark.rule("SMPP-4")
async def test_a_text_that_only_looks_like_a_receipt_is_a_text(smsc, telcod):
    assert "Xin loi" in await texted(smsc, A, "id:1 sub:001 dlvrd:001 stat:DELIVRD")


@pytest.mark.rule("SMPP-2")
async def test_a_text_to_a_short_code_that_is_not_ours_is_refused_for_good(smsc, telcod):
    [delivery] = await smsc.send_text(str(A), "9090", "KT")
    assert await delivery == NO_SUCH_NUMBER
    assert await telcod.journal() == []
    assert smsc.submitted == []
