"""What telcod says unasked, over a link that speaks USSD (USSD-4, SMPP-7).

A question begins a session under a number that we choose; what the phone answers comes back under
it, and is the first step of `push-…`.  Where the gateway gives sessions no number, a phone that may
be in a dialogue of its own is busy: its next input could be meant for that.

Which number stands for which push is known in memory only.  After a restart an answer is that of a
session nobody knows: it agrees to nothing, and the phone gets the menu.
"""

import asyncio
from functools import partial
from typing import Final

import structlog

from telcod.errors import ESME_ROK
from telcod.smpp.errors_table import Next, submit_error
from telcod.smpp.link import Link
from telcod.smpp.outgoing import relative_time
from telcod.smpp.ussd_door import Aside
from ussd.push import Push, PushFailed
from ussd.smpp import SmppDoor
from ussd.smpp_profile import Address, Peer, Profile, Say, peer_of_push, session_of, write
from ussd.smpp_talks import Talk, TalkKey
from ussd.steps import PUSHED

BUSY_S: Final = 180.0
"""A dialogue that has been silent for so long is over, whether its end was told or not."""
NUMBERS_TRIED_MAX: Final = 16

_RETRIED: Final = (Next.RETRY_LATER, Next.SLOW_DOWN)

_log = structlog.get_logger("ussd.smpp")


class SmppPush:
    """A `PushGateway`: pushes over one link.

    Args:
        door: Takes the answers.
        link: One whose settings name a profile and a short code.
    """

    def __init__(self, door: SmppDoor, link: Link) -> None:
        self._door: Final = door
        self._link: Final = link

    async def push(self, push: Push) -> None:
        """See `PushGateway.push`; accepted is what the gateway has answered OK."""
        door, link = self._door, self._link
        profile, settings = door.profiles[link.settings.ussd], link.settings
        code = link.short_codes[0]
        key, peer = self._session(profile, push, code)
        talk = Talk(key, push.session_id, peer, code, door.clock())
        body = write(
            profile,
            peer,
            Say.ASK if push.asks else Say.NOTICE,
            push.text,
            step=1,
            code=code,
            default_alphabet=settings.default_alphabet,
            validity_period=relative_time(push.expires_in_s),
        )
        ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        try:
            taken = link.submit(body, Aside(partial(_tell, ended)))
        except ValueError as error:
            raise PushFailed(f"no submit_sm can hold it: {error}", retry=False) from error
        if not taken:
            raise PushFailed(f"link {link.name} has no room, or is not bound", retry=True)
        if push.asks:
            talk.shown = body
            door.talks.put(talk, now=door.clock())  # The answer may be here before the response.
        status = await ended
        if status == ESME_ROK:
            return
        if status is None:
            # It may be on the phone: what is answered there counts, also while it's sent again.
            _log.warning("push.possibly_doubled", link=link.name, session=push.session_id)
            raise PushFailed("the gateway gave no answer", retry=True)
        door.talks.drop(talk)
        refusal = submit_error(status)
        raise PushFailed(refusal.reason, retry=refusal.next in _RETRIED)

    def _session(self, profile: Profile, push: Push, code: str) -> tuple[TalkKey, Peer]:
        """A session that the phone is not in.

        Raises:
            PushFailed: There is none.
        """
        settings = self._link.settings
        phone = Address(str(push.msisdn), settings.dest_addr_ton, settings.dest_addr_npi)
        ours = Address(code, settings.source_addr_ton, settings.source_addr_npi)
        first = int(push.session_id.removeprefix(PUSHED))
        for number in range(first, first + NUMBERS_TRIED_MAX):
            peer = peer_of_push(profile, number, phone, ours)
            session = session_of(profile, peer.info, peer.reference)
            key = TalkKey(self._link.name, str(push.msisdn), session)
            if self._is_free(key, push):
                return key, peer
        raise PushFailed("the phone is in a dialogue", retry=False)

    def _is_free(self, key: TalkKey, push: Push) -> bool:
        now = self._door.clock()
        talk = self._door.talks.get(key, now=now)
        if talk is None or talk.over or now - talk.at_s > BUSY_S:
            return True
        return talk.session_id == push.session_id


def _tell(ended: "asyncio.Future[int | None]", status: int | None) -> None:
    if not ended.done():
        ended.set_result(status)
