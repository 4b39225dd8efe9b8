"""Signatures of Standard Webhooks: the published vector, and that nothing else passes."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telcod.epay.signatures import (
    SIGNATURES_MAX,
    TOLERANCE_S,
    Head,
    Verdict,
    judge,
    secret_bytes,
    signature,
)

pytestmark = pytest.mark.rule("PAYAPI-2", "PAY-5")

# The vector that the Standard Webhooks libraries are tested with.
SECRET = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = secret_bytes("whsec_" + b64encode(bytes(range(32))).decode())
NOW_MS = TIMESTAMP * 1_000
HEAD = Head(ID, str(TIMESTAMP), SIGNED)


def judged(head=HEAD, body=BODY, secrets=(SECRET,), now_ms=NOW_MS):
    return judge(head, body, secrets, now_ms=now_ms)


def test_the_published_vector_is_made_and_known():
    assert signature(SECRET, ID, str(TIMESTAMP), BODY) == SIGNED
    assert judged() is Verdict.GENUINE


def test_a_secret_may_stand_without_its_prefix():
    assert secret_bytes("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == SECRET


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "whsec_not base64!", "whsec_c2hvcnQ=", b64encode(bytes(65)).decode(), "đ" * 40],
)
def test_what_cannot_be_a_secret_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError) as found:
        secret_bytes(text)
    assert len(text) < 8 or text not in str(found.value)


@pytest.mark.parametrize("age_s", [-TOLERANCE_S, -1, 0, 1, TOLERANCE_S])
def test_five_minutes_either_way_are_tolerated(age_s):
    assert judged(now_ms=NOW_MS + age_s * 1_000) is Verdict.GENUINE


def test_one_second_more_is_not():
    late_ms, early_ms = (NOW_MS + sign * (TOLERANCE_S + 1) * 1_000 for sign in (1, -1))
    assert judged(now_ms=late_ms) is Verdict.TOO_OLD
    assert judged(now_ms=early_ms) is Verdict.FROM_THE_FUTURE


def test_while_a_secret_is_rotated_either_of_both_sides_will_do():
    both = f"{signature(OTHER, ID, str(TIMESTAMP), BODY)} {SIGNED}"
    assert judged(HEAD._replace(signatures=both)) is Verdict.GENUINE
    assert judged(secrets=(OTHER, SECRET)) is Verdict.GENUINE
    assert judged(HEAD._replace(signatures=both), secrets=(OTHER,)) is Verdict.GENUINE
    assert judged(secrets=(OTHER,)) is Verdict.NOT_SIGNED


def test_signatures_of_other_versions_are_passed_over():
    assert judged(HEAD._replace(signatures=f"v1a,abc= {SIGNED} v2,xyz")) is Verdict.GENUINE
    other = SIGNED.replace("v1,", "v2,")
    assert judged(HEAD._replace(signatures=other)) is Verdict.NOT_SIGNED


def test_without_a_secret_nothing_is_genuine():
    assert judged(secrets=()) is Verdict.NOT_SIGNED


def test_no_more_signatures_are_looked_at_than_anybody_needs():
    many = " ".join(["v1,AAAA"] * SIGNATURES_MAX + [SIGNED])
    assert judged(HEAD._replace(signatures=many)) is Verdict.NOT_SIGNED


@pytest.mark.parametrize(
    "head",
    [
        HEAD._replace(webhook_id=""),
        HEAD._replace(webhook_id="with space"),
        HEAD._replace(webhook_id="x" * 129),
        HEAD._replace(webhook_id="số-1"),
        HEAD._replace(timestamp=""),
        HEAD._replace(timestamp="-1614265330"),
        HEAD._replace(timestamp="1614265330.0"),
        HEAD._replace(timestamp="١٦١٤٢٦٥٣٣٠"),
        HEAD._replace(timestamp="1" * 5_000),
    ],
)
def test_a_head_that_makes_no_sense_is_refused_before_anything_is_computed(head):
    assert judged(head) is Verdict.HEAD_MALFORMED


@given(st.binary(max_size=200), st.integers(0, 7), st.data())
def test_a_body_with_one_bit_turned_is_not_the_one_that_was_signed(body, bit, data):
    head = HEAD._replace(signatures=signature(SECRET, ID, str(TIMESTAMP), body))
    assert judged(head, body) is Verdict.GENUINE
    if body:
        place = data.draw(st.integers(0, len(body) - 1))
        turned = bytearray(body)
        turned[place] ^= 1 << bit
        assert judged(head, bytes(turned)) is Verdict.NOT_SIGNED
    assert judged(head, body + b" ") is Verdict.NOT_SIGNED


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=200))
def test_no_head_that_somebody_makes_up_passes_or_raises(webhook_id, timestamp, signatures):
    assert judged(Head(webhook_id, timestamp, signatures)) is not Verdict.GENUINE


@given(st.text(alphabet="0123456789abc.", min_size=1, max_size=8))
def test_what_is_signed_cannot_be_cut_in_another_way(moved):
    # `<id>.<timestamp>.<body>`: a dot in the id must not let the parts change places.
    head = Head(f"{ID}.{moved}", str(TIMESTAMP), SIGNED)
    assert judged(head) is Verdict.NOT_SIGNED
