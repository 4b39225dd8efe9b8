"""Phones that speak USSD through the foreign SMSCs: `telcod.simulator.smsc_ussd` on their wire."""

from telcod.simulator import smsc_text as texts
from telcod.simulator.smsc_ussd import HABITS, Shown, UssdPhone
from telcod.simulator.watch import WAIT_S


class ForeignWire:
    """A `Wire` over one of `tests.foreign.peers`."""

    def __init__(self, smsc):
        self._smsc = smsc

    async def deliver(self, source, destination, text, tlvs):
        return await self._smsc.deliver(source, destination, text, tlvs=tlvs)

    def shown(self):
        return [
            Shown(
                event["destination"],
                text_of(event),
                {int(tag): bytes.fromhex(value) for tag, value in event["tlvs"].items()},
            )
            for event in self._smsc.submitted
            if event["status"] in {0, None}
        ]

    async def wait_shown(self, count, *, wait_s=WAIT_S):
        await self._smsc.wait_submitted(count, wait_s=wait_s)


def text_of(event):
    """The text of a submit; one package has read it, the other gives octets."""
    if event["text"] is not None:
        return event["text"]
    return texts.decode_text(bytes.fromhex(event["hex"]), event["data_coding"])


def phone(smsc, msisdn, habits="standard"):
    """A phone on a foreign SMSC whose gateway has these habits."""
    return UssdPhone(ForeignWire(smsc), str(msisdn), HABITS[habits])
