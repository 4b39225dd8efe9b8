"""Fields of gateways' requests: found wherever they are, and nothing dangerous read for them."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ussd.gateway_fields import FIELDS_MAX, XML_DEPTH_MAX, BadBody, place_problem, read_fields

pytestmark = pytest.mark.rule("USSD-2")

DIALOG = b"""<?xml version="1.0" encoding="UTF-8"?>
<ns:dialog xmlns:ns="urn:x" type="Begin" localId="12">
  <begin invokeId="3"><msisdn number="84903000001"/><note>a &amp; b</note></begin>
  <begin invokeId="4" late="yes"/>
</ns:dialog>"""


def fields(body=b"", *, form="form", query=b"", charset="utf-8", headers=(), **path):
    return read_fields(
        query=query, headers=dict(headers), path=path, body=body, form=form, charset=charset
    )


def test_a_form_is_looked_at_before_the_query():
    found = fields(b"a=1&b=&c=%2B84+x", query=b"a=2&d=3")
    assert [found.get(place) for place in "abcde"] == ["1", "", "+84 x", "3", None]
    assert found.get("query:a") == "2"


@pytest.mark.parametrize(
    ("body", "query", "field"), [(b"=1&=2", b"", "body"), (b"", b"=&=", "query")]
)
def test_a_field_without_a_name_that_comes_twice_is_told_by_where_it_is(body, query, field):
    with pytest.raises(BadBody, match="given twice") as caught:
        fields(body, query=query)
    assert caught.value.field == field


def test_headers_and_parts_of_the_path_are_places_too():
    found = fields(headers={"x-session": "7"}, id="abc")
    assert found.get("header:X-Session") == "7"
    assert found.get("path:id") == "abc"
    assert found.get("path:event") is None


def test_json_is_gone_into_by_dots_and_numbers_are_texts():
    body = b'{"user":{"msisdn":84903000001,"new":true},"text":"1","none":null,"list":[1]}'
    found = fields(body, form="json")
    assert found.get("user.msisdn") == "84903000001"
    assert found.get("user.new") == "true"
    assert found.get("text") == "1"
    for place in ("none", "list", "user", "user.name", "text.x"):
        assert found.get(place) is None


def test_xml_is_gone_into_by_elements_and_ends_at_an_attribute_or_a_text():
    found = fields(DIALOG, form="xml")
    assert found.get("@type") == "Begin"
    assert found.get("begin/@invokeId") == "3"
    assert found.get("begin/@late") == "yes"  # of the first that has it
    assert found.get("begin/msisdn/@number") == "84903000001"
    assert found.get("begin/note") == "a & b"
    assert found.get("begin/msisdn") == ""
    assert found.get("end/@invokeId") is None


def test_of_several_places_the_first_that_holds_something_counts():
    found = fields(b"a=&b=2&c=3")
    assert found.first(("a", "b", "c")) == "2"
    assert found.first(("a", "z")) == ""
    assert found.first(("y", "z")) is None


@pytest.mark.parametrize(("charset", "body"), [("utf-8", b"t=%E1%BA%A1"), ("iso-8859-1", b"t=%E9")])
def test_a_form_is_read_in_the_profiles_charset(charset, body):
    assert fields(body, charset=charset).get("t") in {"ạ", "é"}


@pytest.mark.parametrize(
    ("body", "form", "field"),
    [
        (b"t=%ff", "form", "body"),
        (b"t=\xff", "form", "body"),
        (b"&".join(b"f%d=1" % at for at in range(FIELDS_MAX + 1)), "form", "body"),
        (b"a=1&a=2", "form", "a"),
        (b"{", "json", "body"),
        (b'{"a":"\xff"}', "json", "body"),
        (b"[" * 50_000, "json", "body"),
        (b"<a>", "xml", "body"),
        (b"<a></b>", "xml", "body"),
        (b"<a/><b/>", "xml", "body"),
        (b"<a>&other;</a>", "xml", "body"),
        (b"<a>\xff</a>", "xml", "body"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "xml", "body"),
        (b"plain", "xml", "body"),
        (b"<a>" * (XML_DEPTH_MAX + 1) + b"</a>" * (XML_DEPTH_MAX + 1), "xml", "body"),
    ],
)
def test_what_can_not_be_read_is_refused(body, form, field):
    with pytest.raises(BadBody) as refused:
        fields(body, form=form)
    assert refused.value.field == field


BOMB = b"""<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;&x;">]>
<a>&y;</a>"""
OUTSIDE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
PARAMETER = b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1/p">%p;]><a/>'
ELSEWHERE = b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>'


@pytest.mark.parametrize("body", [BOMB, OUTSIDE, PARAMETER, ELSEWHERE, b"<!DOCTYPE a><a/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_brings_a_document_type_is_refused_unread(body, encoding):
    with pytest.raises(BadBody, match="document type"):
        fields(body.decode().encode(encoding), form="xml")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(TEXTS, TEXTS)
def test_whatever_text_a_document_holds_is_read_as_it_was_written(attribute, text):
    root = ET.Element("dialog", value=attribute)
    ET.SubElement(root, "said").text = text
    found = fields(ET.tostring(root, encoding="utf-8"), form="xml")
    assert found.get("@value") == attribute
    assert found.get("said") == text.strip()


@given(st.binary(max_size=200), st.sampled_from(["form", "json", "xml"]))
def test_whatever_comes_is_read_or_refused(body, form):
    try:
        found = fields(body, form=form)
    except BadBody:
        return
    assert found.get("a") is None or isinstance(found.get("a"), str)


@pytest.mark.parametrize(
    ("place", "form", "right"),
    [
        ("sessionId", "form", True),
        ("a.b", "json", True),
        ("a/@b", "xml", True),
        ("header:X", "form", True),
        ("path:id", "xml", True),
        ("path:other", "xml", False),
        ("cookie:x", "form", False),
        ("query:", "form", False),
        (" ", "form", False),
        ("a/@b", "json", False),
    ],
)
def test_a_place_that_can_not_be_is_told(place, form, right):
    assert bool(place_problem(place, form, ["id"])) is not right
