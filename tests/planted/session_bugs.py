"""Mistakes with dialogues and questions on the screen that could have been made.

As in `tests.planted.bugs`: each is put into the running code for as long as a `with` lasts.
"""

from contextlib import contextmanager

import msgspec

import handlers.forwarded
import ussd.sessions
from telcod.rows import HELD_TEXT, USSD_LAST, USSD_SESSION
from telcod.types import Reply
from tests.planted.bugs import put_in
from ussd.steps import PUSHED

replace = msgspec.structs.replace


def in_sessions(name, wrong):
    """A `with` during which dialogues use something else under this name."""
    return put_in(ussd.sessions, name, wrong)


def in_texts(name, wrong):
    """The same for texts that B is asked about."""
    return put_in(handlers.forwarded, name, wrong)


@contextmanager
def a_step_that_comes_again_is_out_of_turn():
    with in_sessions("_said_before", lambda _: lambda heard, row, now_ms: False):
        yield


@contextmanager
def a_step_with_another_input_counts_as_the_same():
    def said_before(right):
        def wrong(heard, row, now_ms):
            return right(heard._replace(typed=row.typed), row, now_ms)

        return wrong

    with in_sessions("_said_before", said_before):
        yield


@contextmanager
def a_step_too_far_is_taken():
    def out_of_turn(right):
        def wrong(heard, row, *, dead):
            ahead = row is not None and heard.step > row.step
            return None if ahead else right(heard, row, dead=dead)

        return wrong

    with in_sessions("_out_of_turn", out_of_turn):
        yield


@contextmanager
def a_dialogue_lives_a_millisecond_too_long():
    def is_dead(right):
        def wrong(row, tx):
            return right(row and replace(row, touched_at=row.touched_at + 1), tx)

        return wrong

    with in_sessions("_is_dead", is_dead):
        yield


@contextmanager
def what_was_cut_off_is_offered_a_millisecond_too_long():
    def left_behind(right):
        def wrong(tx, subscriber, code, menu):
            last = tx.get(USSD_LAST, subscriber.msisdn)
            row = tx.get(USSD_SESSION, last.session) if last else None
            if row is None:
                return None
            tx.put(USSD_SESSION, replace(row, touched_at=row.touched_at + 1))
            return right(tx, subscriber, code, menu)

        return wrong

    with in_sessions("_left_behind", left_behind):
        yield


@contextmanager
def what_was_broken_off_is_forgotten():
    def end(right):
        def wrong(request, tx):
            reply = right(request, tx)
            row = tx.get(USSD_SESSION, request.args[0])
            if row is not None:
                tx.put(USSD_SESSION, replace(row, place=""))
            return reply

        return wrong

    with in_sessions("end", end):
        yield


@contextmanager
def a_late_end_begins_the_ten_minutes_again():
    def end(right):
        def wrong(request, tx):
            row = tx.get(USSD_SESSION, request.args[0])
            reply = right(request, tx)
            if row is not None and not row.ended:
                tx.put(USSD_SESSION, replace(row, ended=1, touched_at=tx.now_ms))
            return reply

        return wrong

    with in_sessions("end", end):
        yield


@contextmanager
def the_next_owner_goes_on_with_the_last_ones_dialogue():
    def is_whose(right):
        return lambda row, sender, subscriber: row.msisdn == sender

    with in_sessions("_is_whose", is_whose):
        yield


@contextmanager
def a_dialogue_is_whoevers_knows_its_id():
    with in_sessions("_is_whose", lambda _: lambda row, sender, subscriber: True):
        yield


@contextmanager
def a_question_that_was_answered_can_be_answered_again():
    def keep(right):
        def wrong(tx, heard, row, did):
            if row.id.startswith(PUSHED):
                did = did._replace(ends=False)
            return right(tx, heard, row, did)

        return wrong

    with in_sessions("_keep", keep):
        yield


@contextmanager
def a_wrong_key_is_asked_about_once_more_than_it_should():
    def consent(right):
        def wrong(result, digit, *, asks, **more):
            return right(result, digit, asks=asks - 1, **more)

        return wrong

    with in_texts("decide_consent", consent):
        yield


@contextmanager
def a_key_that_was_not_offered_counts():
    with in_texts("keys_offered", lambda _: lambda tx, payer: "1234"):
        yield


@contextmanager
def who_refuses_and_blocks_only_refuses():
    with in_texts("put_on_list", lambda _: lambda *args: None):
        yield


@contextmanager
def the_wait_for_a_key_is_a_millisecond_longer():
    def kept(right):
        def wrong(tx, held, payer):
            reply = right(tx, held, payer)
            row = tx.get(HELD_TEXT, held.mo)
            if row is not None and not row.code:
                tx.put(HELD_TEXT, replace(row, due_at=row.due_at + 1))
            return reply

        return wrong

    with in_texts("_ask", kept):
        yield


@contextmanager
def a_push_that_failed_is_followed_by_no_text():
    def waits(right):
        return lambda held: False

    with in_texts("_waits_for_a_key", waits):
        yield


@contextmanager
def who_was_asked_by_text_is_asked_again():
    def waits(right):
        return lambda held: held.state == "asking"

    with in_texts("_waits_for_a_key", waits):
        yield


@contextmanager
def a_code_stays_good_after_the_answer():
    with in_texts("_forget_code", lambda _: lambda tx, held: None):
        yield


@contextmanager
def a_leaf_has_nothing_to_say():
    def rendered(right):
        return lambda tx, reply, msisdn: right(tx, Reply(reply.outcome), msisdn)

    with in_sessions("_rendered", rendered):
        yield


BUGS = (
    a_step_that_comes_again_is_out_of_turn,
    a_step_with_another_input_counts_as_the_same,
    a_step_too_far_is_taken,
    a_dialogue_lives_a_millisecond_too_long,
    what_was_cut_off_is_offered_a_millisecond_too_long,
    what_was_broken_off_is_forgotten,
    a_late_end_begins_the_ten_minutes_again,
    the_next_owner_goes_on_with_the_last_ones_dialogue,
    a_dialogue_is_whoevers_knows_its_id,
    a_question_that_was_answered_can_be_answered_again,
    a_wrong_key_is_asked_about_once_more_than_it_should,
    a_key_that_was_not_offered_counts,
    who_refuses_and_blocks_only_refuses,
    the_wait_for_a_key_is_a_millisecond_longer,
    a_push_that_failed_is_followed_by_no_text,
    who_was_asked_by_text_is_asked_again,
    a_code_stays_good_after_the_answer,
    a_leaf_has_nothing_to_say,
)
