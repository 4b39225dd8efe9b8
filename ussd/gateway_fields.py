"""Fields of a gateway's request, wherever it puts them: form, JSON, XML, query, headers, path.
Pure.

A *place* says where one is:

    phoneNumber            of the body, and if it is not there, of the query
    user.msisdn            of a JSON body, a step inwards for each dot
    begin/msisdn/@number   of an XML body, from its root: elements, then an attribute; names as they
                           are without a namespace's prefix
    query:msisdn           of the query only
    header:X-Session       a header
    path:event             a part of the path, by its name in the profile's `path`

What is not as it should be is refused as a whole: a form that names a field twice, XML that brings
a document type (so there are no entities to expand, and none outside to fetch).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl
from xml.parsers import expat

import msgspec

FIELDS_MAX: Final = 64
XML_DEPTH_MAX: Final = 32

BodyForm = Literal["form", "json", "xml"]
_SOURCES: Final = ("query", "header", "path")


class BadBody(ValueError):
    """A request that can't be read; the text says why, `field` where, if that is known."""

    def __init__(self, reason: str, *, field: str = "body") -> None:
        super().__init__(reason)
        self.field: Final = field


class Node(NamedTuple):
    """An XML element without its namespace."""

    name: str
    attributes: Mapping[str, str]
    children: list["Node"]
    texts: list[str]


class Fields(NamedTuple):
    """One request, ready to be asked for its fields.  `body` is `None` when there was none."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    path: Mapping[str, str]
    body: Any = None
    form: BodyForm = "form"

    def get(self, place: str) -> str | None:
        """What stands at a place; None if there is no such one."""
        source, _, name = place.partition(":")
        if source == "query":
            return self.query.get(name)
        if source == "header":
            return self.headers.get(name.lower())
        if source == "path":
            return self.path.get(name)
        found = None if self.body is None else _IN_BODY[self.form](self.body, place)
        return self.query.get(place) if found is None else found

    def first(self, places: Sequence[str]) -> str | None:
        """What stands at the first of these places that there is; an empty one only if all are."""
        found = [value for place in places if (value := self.get(place)) is not None]
        return next((value for value in found if value), found[0] if found else None)


def read_fields(
    *,
    query: bytes,
    headers: Mapping[str, str],
    path: Mapping[str, str],
    body: bytes,
    form: BodyForm,
    charset: str,
) -> Fields:
    """Take a request apart.

    Args:
        query: As it stands behind the question mark.
        headers: Their names in lower case.
        path: The parts of the path that have names.
        body: As it came; empty for none.
        form: What a body is, whatever the request says it is: gateways say anything.
        charset: Of query and form.  JSON is UTF-8, XML says what it is.

    Raises:
        BadBody: It can't be read.
    """
    pairs = _pairs(query, charset, "query")
    if not body.strip():
        return Fields(pairs, headers, path)
    if form == "form":
        return Fields(pairs, headers, path, _pairs(body, charset, "body"))
    return Fields(pairs, headers, path, _json(body) if form == "json" else read_xml(body), form)


def read_xml(body: bytes) -> Node:
    """The root of a document.

    Raises:
        BadBody: It is no well-formed XML, is nested too deeply, or brings a document type.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    top = Node("", {}, [], [])
    open_nodes = [top]

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        if len(open_nodes) > XML_DEPTH_MAX:
            raise BadBody("is nested too deeply")
        local = {_local(key): value for key, value in attributes.items()}
        node = Node(_local(name), local, [], [])
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def end(_: str) -> None:
        open_nodes.pop()

    def text(data: str) -> None:
        open_nodes[-1].texts.append(data)

    def doctype(*_: object) -> None:
        raise BadBody("brings a document type, which is refused")

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003  # expat's own way: this is all of it
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, BadBody):
            raise
        raise BadBody(f"is no well-formed XML: {error}") from error
    return top.children[0]


def place_problem(place: str, form: BodyForm, names: Sequence[str]) -> str:
    """Why a place can't be one in a profile; empty if it can.

    Args:
        place: As configured.
        form: What the profile's bodies are.
        names: The names in the profile's `path`.
    """
    source, colon, name = place.partition(":")
    if colon and source not in _SOURCES:
        return f"{place!r}: before a colon goes one of {', '.join(_SOURCES)}"
    if not (name if colon else place).strip():
        return f"{place!r} names nothing"
    if source == "path" and colon and name not in names:
        return f"{place!r}: path has no {{{name}}}"
    if not colon and form != "xml" and ("/" in place or "@" in place):
        return f"{place!r} is a place in XML, but body is {form}"
    return ""


def _pairs(data: bytes, charset: str, where: str) -> dict[str, str]:
    try:
        text = data.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise BadBody(f"is no form in {charset}", field=where) from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise BadBody("is given twice", field=name if name.strip() else where)
        fields[name] = value
    return fields


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(f"is no JSON: {error}") from error
    except RecursionError as error:
        raise BadBody("is nested too deeply") from error


def _of_form(body: Any, place: str) -> str | None:
    found: str | None = body.get(place)
    return found


def _of_json(body: Any, place: str) -> str | None:
    for word in place.split("."):
        if not isinstance(body, dict) or word not in body:
            return None
        body = body[word]
    match body:
        case bool():
            return "true" if body else "false"
        case str():
            return body
        case int():
            return str(body)
        case _:
            return None


def _of_xml(root: Any, place: str) -> str | None:
    path, _, attribute = place.partition("@")
    nodes: list[Node] = [root]
    for name in path.strip("/").split("/"):
        if name:
            nodes = [child for node in nodes for child in node.children if child.name == name]
    if not nodes:
        return None
    if attribute:
        return next((n.attributes[attribute] for n in nodes if attribute in n.attributes), None)
    return "".join(nodes[0].texts).strip()


def _local(name: str) -> str:
    return name.rpartition(":")[2]


_IN_BODY: Final[Mapping[BodyForm, Callable[[Any, str], str | None]]] = {
    "form": _of_form,
    "json": _of_json,
    "xml": _of_xml,
}
