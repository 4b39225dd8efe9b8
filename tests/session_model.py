"""Dialogues and questions on the screen, said once more and otherwise: from the whole history and
a small part of the menu, without the books.

It keeps each dialogue as a record of what was said, and decides what is due by looking at moments;
it knows nothing of how telcod stores, pages or renders anything.
"""

from dataclasses import dataclass, field
from typing import Any

DEAD_MS = 180_000
RESUME_MS = 600_000
ANSWER_MS = 180_000
KEPT_MS = 24 * 60 * 60 * 1_000
ASKS_MAX = 3

# A part of the menu: how each screen begins, and where keys lead.
FIRST_WORDS = {
    "main": "Payforme: nguoi nhan tra",
    "black": "Blacklist: so bi chan",
    "black_add": "Nhap so can chan",
    "black_clear": "Xoa tat ca so khoi blacklist?",
    "notices": "Thong bao huong dan",
    "ask": "Nho nguoi nhan tra tien",
    "ask_text": "Nhap so nguoi nhan tin:",
    "what": "Nhap noi dung.",
    "offer": "Phien truoc chua xong.",
}
LEADS = {
    "main": {"3": "black", "4": "notices", "5": "ask"},
    "black": {"2": "black_add", "4": "black_clear", "9": "main"},
    "black_add": {"9": "black"},
    "black_clear": {"1": "!clear", "9": "black"},
    "notices": {"1": "!stop", "2": "!resume", "9": "main"},
    "ask": {"2": "ask_text", "9": "main"},
    "ask_text": {"9": "ask"},
    "what": {"9": "ask_text"},
}
HINTS = {"black_add": "So chua dung", "ask_text": "So chua dung"}
OTHER_HINT = "Chua dung"


@dataclass
class Person:
    """A number and its owner of the moment."""

    life: int = 1
    closed: bool = False
    black: set = field(default_factory=set)
    notices: bool = True
    last: str = ""


@dataclass
class Talk:
    """A dialogue; `place` is where it stands, None at its own end."""

    msisdn: int
    life: int
    touched: int
    step: int
    typed: str
    place: tuple | None
    answer: object = None
    over: bool = False


@dataclass
class Text:
    """A text for somebody to pay."""

    sender: int
    payer: int
    at: int
    push: int
    state: str = "asking"
    coded: bool = False
    noted: bool = False

    @property
    def due(self):
        """When the clock does something about it."""
        return self.at + (KEPT_MS if self.coded else ANSWER_MS)


@dataclass
class SessionModel:
    """`number` says of what is typed which subscriber it means."""

    number: dict
    people: dict = field(default_factory=dict)
    talks: dict[str, Any] = field(default_factory=dict)
    texts: list = field(default_factory=list)
    asked_by_text: int = 0

    # -- dialogues: each gives what must be answered, as (kind, detail)

    def step(self, session, msisdn, typed, step, now):
        """What a step must be answered: `same` as before, `wrong` with the step that is next,
        `unknown`, `stranger`, `expired`, `shows` a screen and whether after a hint, `did` a leaf.
        """
        person = self.people[msisdn]
        talk: Any = self.talks.get(session)
        lives = talk is not None and not talk.over and now - talk.touched < DEAD_MS
        if lives and talk.msisdn != msisdn:
            return "wrong", talk.step
        if talk is not None and (talk.msisdn, talk.life) != (msisdn, person.life):
            talk = None
        if talk is not None and (step, typed) == (talk.step - 1, talk.typed):
            return "same", talk.answer
        if talk is None and step:
            return "unknown", None
        anew = talk is None or (step == 0 and not lives)
        if not anew and step != talk.step:
            return "wrong", talk.step
        if person.closed:
            return "stranger", None
        if anew:
            return self._begins(session, msisdn, now)
        if not lives:
            return "expired", None
        talk.step, talk.typed, talk.touched = step + 1, typed, now
        return self._goes_on(talk, typed, now)

    def answered(self, session, answer):
        """What telcod said, to be said again."""
        self.talks[session].answer = answer

    def ends(self, session, now):
        """A gateway says that it is over; whether anybody knows it."""
        talk: Any = self.talks.get(session)
        if talk is None:
            return False
        if not talk.over and now - talk.touched < DEAD_MS:
            talk.touched = now
        talk.over = True
        return True

    def _begins(self, session, msisdn, now):
        person = self.people[msisdn]
        left = self.talks.get(person.last)
        place = ("main", None)
        if left is not None and (left.msisdn, left.life) == (msisdn, person.life):
            stood = left.place[1] if left.place and left.place[0] == "offer" else left.place
            if stood and stood[0] != "main" and now - left.touched < RESUME_MS:
                place = ("offer", stood)
        self.talks[session] = Talk(msisdn, person.life, now, 1, "", place)
        person.last = session
        return "shows", (place[0], False)

    def _goes_on(self, talk, typed, now):
        name, detail = talk.place
        if name == "offer":
            return self._resumes(talk, typed, detail)
        to = LEADS[name].get(typed)
        number = self.number.get(typed)
        if to is None and name == "black_add" and number:
            to = "!add"
        if to is None and name == "ask_text" and number:
            to = "what"
        if to is None and name == "what":
            to = "!forward"
        if to is None:
            return "shows", (name, True)
        if to.startswith("!"):
            return self._does(talk, to[1:], typed if to == "!add" else detail, now)
        talk.place = (to, typed if to == "what" else None)
        return "shows", (to, False)

    def _resumes(self, talk, typed, left):
        if typed == "1":
            talk.place = left
        elif typed == "2":
            talk.place = ("main", None)
        else:
            return "shows", ("offer", True)
        return "shows", (talk.place[0], False)

    def _does(self, talk, leaf, detail, now):
        talk.place, talk.over = None, True
        person = self.people[talk.msisdn]
        match leaf:
            case "add":
                other = self.number[detail]
                if other != talk.msisdn and not self.people[other].closed:
                    person.black.add(other)
            case "clear":
                person.black.clear()
            case "stop" | "resume":
                person.notices = leaf == "resume"
            case "forward":
                self.forwards(talk.msisdn, self.number[detail], now)
        return "did", leaf

    # -- texts for somebody to pay

    def forwards(self, sender, payer, now):
        """A text to 1566 and a number; whether B is asked."""
        person = self.people[payer]
        if payer == sender or person.closed or sender in person.black:
            return False
        self.texts.append(Text(sender, payer, now, len(self.texts) + 1))
        return True

    def pressed(self, push, msisdn, key, step, now):
        """What a key on the screen must be answered: as `step`, or `nothing` is asked, or it did
        `accept`, `refuse`, ask `again`.
        """
        session = f"push-{push}"
        person, text = self.people[msisdn], self.texts[push - 1]
        talk: Any = self.talks.get(session)
        lives = talk is not None and not talk.over and now - talk.touched < DEAD_MS
        if lives and talk.msisdn != msisdn:
            return "wrong", talk.step
        if talk is not None and (talk.msisdn, talk.life) != (msisdn, person.life):
            talk = None
        if talk is not None and (step, key) == (talk.step - 1, talk.typed):
            return "same", talk.answer
        if talk is None and step != 1:
            return "unknown", None
        if talk is not None and step != talk.step:
            return "wrong", talk.step
        if person.closed:
            return "stranger", None
        gone = talk is not None and talk.over
        if msisdn != text.payer or now - text.at >= ANSWER_MS or gone:
            return "nothing", None
        if talk is None:
            talk = self.talks[session] = Talk(msisdn, person.life, now, 1, "", None)
        talk.step, talk.typed, talk.touched = step + 1, key, now
        did = self._key(text, key, step)
        talk.over = did != "again"
        return ("did", did) if did != "nothing" else ("nothing", "kept")

    def _key(self, text, key, step):
        if text.state != "asking":
            return "nothing"
        if key not in {"1", "2", "4"} and step < ASKS_MAX:
            return "again"
        if key == "4" and not self.people[text.sender].closed:
            self.people[text.payer].black.add(text.sender)
        text.state = "delivered" if key == "1" else "refused"
        return "accept" if key == "1" else "refuse"

    def code(self, text, *, accepts):
        """B answers by the code that he was sent; whether it still asks."""
        if text.state != "asking":
            return False
        text.state = "delivered" if accepts else "refused"
        return True

    def noted(self, push, became):
        """What became of a push."""
        text = self.texts[push - 1]
        if not text.noted and became != "accepted" and text.state == "asking" and not text.coded:
            self._asks_by_text(text)
        text.noted = True

    def clock(self, now):
        """What came due."""
        for text in self.texts:
            while text.state == "asking" and now >= text.due:
                if text.coded:
                    text.state = "expired"
                else:
                    self._asks_by_text(text)

    def _asks_by_text(self, text):
        text.coded = True
        if self.people[text.payer].closed:
            text.state = "expired"
        else:
            self.asked_by_text += 1

    # -- numbers

    def closes(self, msisdn):
        """The number leaves: what it has and what others have of it goes."""
        for person in self.people.values():
            person.black.discard(msisdn)
        person = self.people[msisdn]
        person.closed, person.notices = True, True
        person.black.clear()

    def comes_back(self, msisdn):
        """It is somebody else's."""
        person = self.people[msisdn]
        person.closed, person.life = False, person.life + 1
