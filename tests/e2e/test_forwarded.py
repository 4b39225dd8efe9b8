"""Texts to 1566+number through a whole telcod and an SMSC: sent on, received, paid for once."""

import asyncio
from itertools import pairwise

import pytest

from telcod.billing.accounts import main_account
from telcod.rows import ACCOUNT, ENTRY, HELD_TEXT, MO, OutboxState, TextState
from telcod.simulator.smsc import SimulatedSmsc
from telcod.simulator.smsc_behaviour import (
    SILENCE,
    STATUS_DESTINATION,
    STATUS_OK,
    STATUS_THROTTLED,
    Behaviour,
    Fault,
    FaultKind,
)
from telcod.simulator.smsc_text import Long
from telcod.simulator.watch import WAIT_S
from tests.e2e.harness import (
    DATABASE,
    Telcod,
    TelcodProcess,
    link,
    subscribers,
    write_settings,
)
from tests.text_world import TextWorld

A, B, C = 84903000001, 84903000002, 84903000003
TO_B = "15660903000002"
PREFIX = "0903000001: "
BALANCE_VND = 20_000
PART_VND = 250

pytestmark = [pytest.mark.anyio, pytest.mark.rule("PFM-30")]


async def prepare(telcod, *smscs):
    for smsc in smscs:
        await smsc.wait_bound()
    await telcod.subscribers({"msisdn": A, "balance_vnd": 0}, {"msisdn": B}, {"msisdn": C})


async def whitelisted(smsc, telcod):
    """B pays for A without being asked."""
    for text in ("DK7", "W 0903000001"):
        [sent] = smsc.send_text(str(B), "1566", text)
        assert await sent == 0
    await telcod.wait_settled(2)


async def wait_books(telcod, condition):
    """Wait until a question about the books is answered yes, asked after every batch."""
    batches = asyncio.Event()
    seen = telcod.daemon.engine.on_batch

    def on_batch(stats):
        seen(stats)
        batches.set()

    telcod.daemon.engine.on_batch = on_batch
    try:
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                await batches.wait()
                batches.clear()
    finally:
        telcod.daemon.engine.on_batch = seen


async def wait_texts(telcod, *states):
    """Wait until the texts for others are in these states, oldest first; the last of them."""

    async def there():
        return [row.state for row in await telcod.rows(HELD_TEXT)] == [*states]

    await wait_books(telcod, there)
    return (await telcod.rows(HELD_TEXT))[-1]


async def code_from(smsc):
    """The code in the last question to B."""
    words = (await smsc.wait_text(str(B)))[-1].split()
    return next(code for word, code in pairwise(words) if word == "Y")


async def money(telcod, msisdn=B):
    [account] = [row for row in await telcod.rows(ACCOUNT) if row.id == main_account(msisdn)]
    return (account.posted, account.held)


async def charges(telcod, msisdn=B):
    entries = await telcod.rows(ENTRY)
    return [e.amount for e in entries if (e.kind, e.debit) == ("sms", main_account(msisdn))]


def forwards(smsc, text=PREFIX):
    """Every submit_sm of a text for B, taken or not."""
    return [
        one
        for one in smsc.submitted
        if one.fields["destination_addr"] == str(B) and one.text.startswith(text)
    ]


async def test_b_is_asked_agrees_and_pays_when_the_receipt_has_come(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        simulated.behave(Behaviour(receipts=False))
        [sent] = simulated.send_text(str(A), TO_B, "Chị ơi €{}")
        assert await sent == 0
        code = await code_from(simulated)
        assert "dang cho nguoi nhan" in (await simulated.wait_text(str(A)))[0]

        [sent] = simulated.send_text(str(B), "1566", f"y{code}")
        assert await sent == 0
        texts = await simulated.wait_text(str(B), 3)
        assert texts[1] == f"{PREFIX}Chị ơi €{{}}"
        await telcod.wait_settled(4)
        assert await money(telcod) == (BALANCE_VND, PART_VND)

        [submit] = forwards(simulated)
        assert submit.fields["registered_delivery"] == 1
        await simulated.send_deliver(**receipt_of(submit))
        await wait_texts(telcod, TextState.DELIVERED)
        assert await money(telcod) == (BALANCE_VND - PART_VND, 0)
        assert await charges(telcod) == [PART_VND]


def receipt_of(submit, *, message_id=None, state=2):
    """A delivery receipt (message_state 2: delivered, 5: undeliverable)."""
    return {
        "source_addr": submit.fields["destination_addr"],
        "destination_addr": submit.fields["source_addr"],
        "esm_class": 0x04,
        "receipted_message_id": message_id or submit.message_id,
        "message_state": state,
    }


@pytest.mark.parametrize("first", [True, False], ids=["early", "after the answer"])
@pytest.mark.parametrize("delivered", [True, False])
async def test_receipts_that_are_doubled_late_or_of_nobody_charge_once_or_never(
    simulated, tmp_path, first, delivered
):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        await whitelisted(simulated, telcod)
        simulated.behave(Behaviour(receipt_first=first, receipt_delivered=delivered))
        [sent] = simulated.send_text(str(A), TO_B, "Hello")
        assert await sent == 0
        await wait_texts(telcod, TextState.DELIVERED if delivered else TextState.UNDELIVERED)
        [submit] = forwards(simulated)
        again = [
            simulated.send_deliver(**receipt_of(submit, state=state, message_id=message_id))
            for message_id in (None, "4711")
            for state in (2, 5, 2)
        ]
        assert [await one for one in again] == [0] * 6
        expected = [PART_VND] * delivered
        assert await charges(telcod) == expected
        assert await money(telcod) == (BALANCE_VND - sum(expected), 0)
        told = await simulated.wait_text(str(A), 1 if delivered else 2)
        assert ["khong den duoc" in text for text in told] == [False] + [True] * (not delivered)


async def test_what_the_smsc_refuses_for_ever_costs_nothing(simulated, tmp_path):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        await whitelisted(simulated, telcod)
        simulated.behave(Behaviour(submit_answers=(STATUS_DESTINATION,)))
        [sent] = simulated.send_text(str(A), TO_B, "Hello")
        assert await sent == 0
        await wait_texts(telcod, TextState.UNDELIVERED)
        told = await simulated.wait_text(str(A), 2)
        assert "khong den duoc nguoi nhan" in told[-1]
        assert await money(telcod) == (BALANCE_VND, 0)


SIZES = {
    "a" * 160: 1,
    "a" * 161: 2,
    "a" * 306: 2,
    "a" * 307: 3,
    "€" * 81: 2,
    "ế" * 70: 1,
    "ế" * 71: 2,
    "a" * 66 + "😀" * 34: 3,
}


@pytest.mark.rule("PFM-2")
@pytest.mark.parametrize("long", list(Long))
@pytest.mark.parametrize("long_text", ["udh", "sar", "payload"])
async def test_every_size_arrives_as_it_was_written_and_costs_what_it_was_sent_as(
    simulated, tmp_path, long, long_text
):
    async with Telcod(tmp_path, link(simulated, long_text=long_text)) as telcod:
        await prepare(telcod, simulated)
        await whitelisted(simulated, telcod)
        for count, (text, parts) in enumerate(SIZES.items(), 1):
            sent = simulated.send_text(str(A), TO_B, text, long=long)
            assert [await one for one in sent] == [0] * len(sent)
            held = await wait_texts(telcod, *[TextState.DELIVERED] * count)
            assert (held.parts, held.price_vnd) == (parts, parts * PART_VND)
        got = simulated.texts_to(str(B))
        assert [text for text in got if text.startswith(PREFIX)] == [
            PREFIX + text for text in SIZES
        ]
        assert await charges(telcod) == [parts * PART_VND for parts in SIZES.values()]


async def test_parts_out_of_order_over_two_links_are_one_text_and_one_charge(simulated, tmp_path):
    text = "".join(chr(0x1EA0 + at % 80) for at in range(400))  # Six parts, each different.
    async with Telcod(tmp_path, link(simulated, "a"), link(simulated, "b")) as telcod:
        await simulated.wait_bound(2)
        await prepare(telcod, simulated)
        await whitelisted(simulated, telcod)
        # One part twice, by the other link: before the last one comes it is the same part.
        sent = simulated.send_text(str(A), TO_B, text, order=(5, 2, 5, 0, 4, 1, 3))
        assert [await one for one in sent] == [0] * 7
        held = await wait_texts(telcod, TextState.DELIVERED)
        assert held.parts == 6
        assert len({row.connection for row in await telcod.rows(MO) if row.source == str(A)}) == 2
        got = simulated.texts_to(str(B))
        assert [one for one in got if one.startswith(PREFIX)] == [PREFIX + text]
        assert await charges(telcod) == [6 * PART_VND]


async def test_a_long_text_that_moves_to_another_link_is_paid_by_that_links_receipt(tmp_path):
    text = "x" * 200
    async with SimulatedSmsc() as first, SimulatedSmsc() as second:
        second.refuse()  # Not there yet.
        async with Telcod(tmp_path, link(first, "a"), link(second, "b")) as telcod:
            await prepare(telcod, first)
            await whitelisted(first, telcod)
            first.behave(Behaviour(submit_answers=(STATUS_OK, SILENCE), receipts=False))
            [*sent] = first.send_text(str(A), TO_B, text)
            assert [await one for one in sent] == [0, 0]
            await first.wait_until(lambda: len(first.submitted) >= 4, "both parts")
            await second.accept()
            await second.wait_bound()
            await first.stop(abrupt=True)
            assert (await second.wait_text(str(B)))[-1] == PREFIX + text
            await wait_texts(telcod, TextState.DELIVERED)
            assert await charges(telcod) == [2 * PART_VND]


@pytest.mark.parametrize("before_answer", [True, False])
@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.UNBIND])
async def test_a_text_that_the_smsc_sends_again_is_one_text_and_one_charge(
    simulated, tmp_path, kind, before_answer
):
    async with Telcod(tmp_path, link(simulated)) as telcod:
        await prepare(telcod, simulated)
        await whitelisted(simulated, telcod)
        fault = Fault(
            kind=kind, after_pdus=1, command="deliver_sm_resp", before_answer=before_answer
        )
        simulated.behave(Behaviour(faults=(fault,)))
        [sent] = simulated.send_text(str(A), TO_B, "Hello")
        assert await sent.taken() == 0
        await wait_texts(telcod, TextState.DELIVERED)
        assert sent.attempts == 1 + before_answer
        assert await charges(telcod) == [PART_VND]
        # If the answer to the submit was lost too, the same text leaves once more (SMPP-5).
        assert len({one.fields["user_message_reference"] for one in forwards(simulated)}) == 1
        assert len([row for row in await telcod.outbox() if row.kind == "forward"]) == 1
        assert len([row for row in await telcod.rows(MO) if row.source == str(A)]) == 1


async def test_a_kill_between_yes_and_delivery_delivers_once_and_charges_once(simulated, tmp_path):
    write_settings(tmp_path, link(simulated))
    subscribers(tmp_path, {"msisdn": A}, {"msisdn": B, "balance_vnd": BALANCE_VND})
    async with TelcodProcess(tmp_path) as telcod:
        await telcod.wait_line("link a is bound")
        [sent] = simulated.send_text(str(A), TO_B, "Hello")
        assert await sent == 0
        code = await code_from(simulated)
        simulated.behave(Behaviour(submit_status=STATUS_THROTTLED))
        [sent] = simulated.send_text(str(B), "1566", f"Y {code}")
        assert await sent == 0
        await telcod.kill()
        with TextWorld(tmp_path / DATABASE) as world:
            assert world.states() == [TextState.SENDING]
            assert world.money(B) == (BALANCE_VND, PART_VND)
        simulated.behave(Behaviour())
        await telcod.start()
        await simulated.wait_until(lambda: len(simulated.receipts) == 1, "the receipt")
        assert await simulated.receipts[0].taken() == 0
        assert await telcod.terminate() == 0
    taken = [one for one in forwards(simulated) if one.status == STATUS_OK]
    assert [one.text for one in taken] == [f"{PREFIX}Hello"]
    with TextWorld(tmp_path / DATABASE) as world:
        assert world.states() == [TextState.DELIVERED]
        assert world.forwarded()[0].state == OutboxState.DELIVERED
        assert world.charges(B) == [PART_VND]
        assert world.money(B) == (BALANCE_VND - PART_VND, 0)
        assert world.check() == []
