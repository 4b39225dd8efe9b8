"""The operator of `tests.world` with USSD: people dial, read and type; telcod asks on screens."""

from itertools import count

import msgspec

from telcod.rows import OUTBOX_EVENT, OUTBOX_PUSH, QUARANTINE, USSD_SESSION
from telcod.types import Channel, Request
from tests.network_world import with_gateways
from tests.text_world import TextWorld
from ussd.steps import PUSHED, Step, end_request, shown, step_request

GATEWAY = "gw"
CODE = "*1566#"


def said(session, msisdn, typed="", *, step=None, code=CODE, platform=GATEWAY, **more):
    """A step as a gateway says it."""
    step = Step(msisdn=str(msisdn), service_code=code, input=typed, step=step)
    return step_request(session, step, platform=platform, sender=msisdn, **more)


def push_outcome(seq, became, *, attempts=1):
    """What the pusher notes."""
    return Request("push.outcome", args=(str(seq), became, str(attempts)), channel=Channel.CLOCK)


class SessionWorld(TextWorld):
    """Has a gateway for pushes, and somebody who listens to events, unless told otherwise."""

    def __init__(self, path=None, *, rules=None, **options):
        super().__init__(path, rules=rules or with_gateways(), **options)
        self._sessions = count(1)

    # -- dialogues

    def one(self, request):
        """One request alone in its batch."""
        (result,) = self.run(request)
        return result

    def step(self, session, msisdn, typed="", **more):
        """One step; the answer as the books give it."""
        return self.one(said(session, msisdn, typed, **more))

    def end(self, session, *, platform=GATEWAY):
        """The gateway says that it is over; the outcome."""
        return self.one(end_request(session, platform=platform)).outcome

    def dialogue(self, msisdn, code=CODE, *typed, session=""):
        """Somebody dials, and types one thing after another."""
        phone = Phone(self, msisdn, session or f"s{next(self._sessions)}", code)
        return phone.type("").type(*typed)

    def session(self, session, *, platform=GATEWAY):
        key = session if session.startswith(PUSHED) else f"{platform}:{session}"
        return self.row(USSD_SESSION, key)

    # -- pushes

    def pushes(self):
        """All that telcod has to say on screens unasked, oldest first."""
        return list(self.store.scan(OUTBOX_PUSH))

    def push(self):
        """The last one."""
        return self.pushes()[-1]

    def pending_pushes(self):
        return self.store.pending_pushes(after=0, most=100)

    def pushed(self, became="accepted", *, seq=0, attempts=1):
        """What became of a push, by default of the last one; the outcome."""
        return self.one(push_outcome(seq or self.push().seq, became, attempts=attempts)).outcome

    def press(self, msisdn, key, *, step=None, seq=0):
        """Somebody answers a push, by default the last one."""
        return self.step(f"{PUSHED}{seq or self.push().seq}", msisdn, key, step=step, code="")

    def answer_request(self, session, msisdn, key, *, step=1):
        """What was pressed, as the gateway says it."""
        return said(session, msisdn, key, step=step, code="")

    # -- looking

    def events(self):
        """What other systems hear, oldest first: what, whose, and the details."""
        return [
            (f"{row.subject}/{row.verb}", row.msisdn, msgspec.json.decode(row.body))
            for row in self.store.scan(OUTBOX_EVENT)
        ]

    def quarantined(self):
        return list(self.store.scan(QUARANTINE))


class Phone:
    """A phone in a dialogue that counts its steps; `screen` is what it shows."""

    def __init__(self, world, msisdn, session, code):
        self.world = world
        self.msisdn = msisdn
        self.session = session
        self.code = code
        self.next_step = 0
        self.screens = []
        self.answer = None

    def type(self, *inputs):
        """Type one thing after another."""
        for typed in inputs:
            self.answer = self.world.step(
                self.session, self.msisdn, typed, step=self.next_step, code=self.code
            )
            screen = shown(self.answer)
            self.screens.append(screen)
            self.next_step = screen.step
        return self

    @property
    def screen(self):
        return self.screens[-1]

    @property
    def text(self):
        return self.screen.text

    @property
    def ends(self):
        return self.screen.ends
