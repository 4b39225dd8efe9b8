"""Whatever is published on a request topic: it is understood, told what is wrong, or left alone."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telcod.mqtt.asked import NUMBER_MAX, Address, Asked, Forbidden, answer, problem, read
from telcod.problems import Malformed

pytestmark = pytest.mark.rule("MQTT-1")

PREFIX = "telcod/reply/"


def asked(fields, *, topic="", correlation=b""):
    return read(msgspec.json.encode(fields), topic=topic, correlation=correlation, prefix=PREFIX)


def test_a_request_is_its_operation_and_its_fields():
    request, address = asked(
        {"op": "show", "call_id": "c"}, topic="telcod/reply/a", correlation=b"k"
    )
    assert request == Asked("show", {"call_id": "c"})
    assert address == Address("telcod/reply/a", b"k")


def test_what_only_the_envelope_says_is_no_field():
    said = {"op": "show", "reply_to": "telcod/reply/a", "correlation_id": "7"}
    assert asked(said) == (Asked("show", {}), Address("telcod/reply/a", b"", "7"))


def test_the_property_goes_before_the_body():
    _, address = asked({"op": "x", "reply_to": "telcod/reply/b"}, topic="telcod/reply/a")
    assert address.topic == "telcod/reply/a"


def test_nobody_waits_where_no_topic_is_named():
    assert asked({"op": "x"}) == (Asked("x", {}), None)


@pytest.mark.parametrize(
    "topic",
    [
        "x",
        "telcod/reply/",
        "telcod/reply",
        "telcod/events/a/b",
        "telcod/reply/#",
        "telcod/reply/+/a",
        "telcod/reply/a\x00",
        "telcod/reply/a\n",
        "$SYS/telcod/reply/a",
        "telcod/reply/" + "a" * 600,
    ],
)
def test_a_topic_elsewhere_or_with_wildcards_is_forbidden(topic):
    with pytest.raises(Forbidden):
        asked({"op": "x"}, topic=topic)
    with pytest.raises(Forbidden):
        asked({"op": "x", "reply_to": topic})


@pytest.mark.parametrize("number", [True, 1.5, [], "a" * 257, NUMBER_MAX + 1, -(2**63)])
def test_a_correlation_id_that_can_not_be_given_back_is_refused(number):
    request, address = asked({"op": "x", "correlation_id": number}, topic="telcod/reply/a")
    assert request.wrong.field == "correlation_id"
    assert address.correlation_id is None


@given(st.binary(max_size=200), st.text(max_size=40), st.binary(max_size=20))
@example(b'{"op":"x","correlation_id":1' + b"0" * 400 + b"}", "telcod/reply/a", b"")
@example(b'{"op":"\\ud800"}', "telcod/reply/a", b"")
@example(b'{"op":"x","reply_to":{}}', "", b"")
def test_nothing_that_is_published_breaks_the_reader(payload, topic, correlation):
    try:
        request, address = read(payload, topic=topic, correlation=correlation, prefix=PREFIX)
    except Forbidden:
        return
    if address is not None:
        assert address.topic.startswith(PREFIX)
        said = problem(request.wrong or Malformed("no"))
        assert msgspec.json.decode(answer(address, said))["error"]["code"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(st.dictionaries(st.sampled_from(["op", "correlation_id", "call_id"]), JSON))
def test_any_object_is_a_request_or_is_told_why_not(fields):
    payload = msgspec.json.encode(fields)
    request, _ = read(payload, topic="telcod/reply/a", correlation=b"", prefix=PREFIX)
    assert request.wrong is not None or request.op
    assert not {"op", "reply_to", "correlation_id"} & request.fields.keys()
