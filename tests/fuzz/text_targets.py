"""What people type and operators write: alphabets, keywords, numbers, texts with places."""

from telcod.dispatch import MALFORMED_ROUTE, PASSWORD, TOO_MANY, Args, Parsed
from telcod.messages import MORE_KEY, Catalogue, CatalogueError
from telcod.msisdn import (
    NumberError,
    from_address,
    international,
    national,
    parse,
    parse_many,
)
from telcod.text import (
    TextTooLongError,
    count_parts,
    decode_gsm7,
    decode_short_message,
    encode_gsm7,
    encode_ucs2,
    fold,
    fold_keep,
    foreign_characters,
    gsm7_or_none,
    gsm_safe,
    is_gsm7,
    pack,
    raw_after,
    septets,
    split,
    unpack,
)
from telcod.text.template import KINDS, Kind, Template, compile_leaf, kind_of
from tests.fuzz.bites import Bites
from tests.fuzz.smpp_targets import ALPHABETS
from tests.world import shipped_rules

MESSAGE_OCTETS = 140
HEADER_OCTETS, WIDE_HEADER_OCTETS = 6, 7
CODES = ("1566", "9223", "15660903000001", "1566x", "2000")
SECRET_CODE = "9223"
DISPATCHER = shipped_rules().dispatcher
KEYWORDS = [entry for table in DISPATCHER._tables.values() for entry in table.items()]
USAGES = frozenset(keyword.route.usage for _, keyword in KEYWORDS) | {TOO_MANY}
SECRET_WORDS = tuple(word for word, keyword in KEYWORDS if keyword.route.args is Args.PASSWORD)


# -- alphabets


def gsm(data):
    """Septets and texts go into one another without loss, packed or not, whole or in parts."""
    bites = Bites(data)
    fill_bits, alphabet, wide = bites.below(7), bites.one_of(ALPHABETS), bites.flag()
    octets = bites.rest()
    shown = decode_gsm7(octets)
    assert len(shown) <= len(octets)
    if is_gsm7(shown):
        assert decode_gsm7(encode_gsm7(shown)) == shown
    packed = pack(octets, fill_bits=fill_bits)
    kept = bytes(octet & 0x7F for octet in octets)
    assert unpack(packed, fill_bits=fill_bits, count=len(octets)) == kept
    unpack(octets, fill_bits=fill_bits)
    for text in (
        octets.decode(errors="replace"),
        octets.decode("utf-16-be", "surrogatepass") if len(octets) % 2 == 0 else "",
    ):
        _text_round(text, alphabet, wide=wide)


def _text_round(text, alphabet, *, wide):
    known = gsm7_or_none(text)
    assert (known is None) == bool(foreign_characters(text))
    if known is not None:
        assert decode_gsm7(known) == text
    safe = gsm_safe(text, len(text))
    assert septets(safe) == len(safe) <= len(text)
    try:
        parts = split(text, alphabet, wide=wide)
    except TextTooLongError:
        assert count_parts(text).count > 255 or wide or alphabet != "gsm7"
        return
    said = text if known is not None else encode_ucs2(text).decode("utf-16-be", "replace")
    assert "".join(part.text for part in parts).encode("utf-16", "replace") == said.encode(
        "utf-16", "replace"
    )
    header = 0 if len(parts) == 1 else WIDE_HEADER_OCTETS if wide else HEADER_OCTETS
    for part in parts:
        # Unpacked septets have an octet each on the wire; in the air they are packed.
        in_air = len(part.data) * 7 / 8 if _is_unpacked(part, alphabet) else len(part.data)
        assert in_air <= MESSAGE_OCTETS - header
        heard = decode_short_message(part.data, part.data_coding, alphabet, udh_octets=header)
        ours = part.text.encode("utf-16-be", "replace").decode("utf-16-be")
        # Spare bits at a packed end can't be told from a last @; a mark at the front is dropped.
        assert heard.rstrip("\r@") == ours.removeprefix("\ufeff").rstrip("\r@") or (
            part.data.startswith(b"\xff\xfe")
        )
    if alphabet == "gsm7" and not wide:
        assert count_parts(text).count == len(parts)


def _is_unpacked(part, alphabet):
    return part.data_coding == 0 and alphabet != "gsm7-packed"


# -- keywords


def keywords(data):
    """Any text leads somewhere; folding twice is folding once; a password is a secret only."""
    bites = Bites(data)
    code, text = bites.one_of(CODES), bites.rest_text()
    codes = DISPATCHER.short_codes
    folded = fold(text, codes)
    assert fold(folded, codes) == folded
    assert "  " not in folded
    assert folded == folded.strip()
    fold_keep(text, codes)
    assert raw_after(text, len(text) * 20 + 20, codes) == ""
    parsed = DISPATCHER.parse(code, text)
    _check_parsed(parsed, text)
    said_first = folded.replace(" ", "")
    if code in codes and said_first.startswith(SECRET_WORDS):
        assert parsed.secret_bearing
    for word in SECRET_WORDS:
        _check_secret(DISPATCHER.parse(SECRET_CODE, f"{word} {text}"), text)


def _check_parsed(parsed, text):
    assert isinstance(parsed, Parsed)
    for arg in parsed.args:
        arg.encode()
    assert len(parsed.args) <= 61
    if parsed.secret:
        assert PASSWORD.fullmatch(parsed.secret)
        assert parsed.secret_bearing
    if parsed.secret_bearing:
        assert set(parsed.args) <= USAGES
        assert repr(parsed) == f"Parsed(route={parsed.route!r}, args=('***',))"
    if parsed.route == MALFORMED_ROUTE:
        assert set(parsed.args) <= USAGES
    assert text or not parsed.args or parsed.route.startswith("forward")


def _check_secret(parsed, text):
    """What follows the word for a password is one, or is thrown away: it is nowhere else."""
    assert parsed.secret_bearing
    assert set(parsed.args) <= USAGES
    if parsed.secret:
        # As typed, without what is invisible: its letters stand in the text, in this order.
        typed = iter(text.upper())
        assert all(letter in typed for letter in parsed.secret)


# -- numbers


def numbers(data):
    """A number is a canonical one or a reason; what is canonical is read again as itself."""
    bites = Bites(data)
    ton, npi = bites.one_of((0, 1, 2, 5, bites.uint())), bites.one_of((0, 1, 14, bites.uint()))
    text = bites.rest_text()[:1_000]
    for found in (parse(text), from_address(text, ton, npi)):
        _check_number(found)
    typed = parse_many(text)
    for one in typed:
        _check_number(one.number)
    if "," not in text and isinstance(parse(text), int) and len(text) < 18:
        assert [one.number for one in typed] == [parse(text)]


def _check_number(found):
    if isinstance(found, NumberError):
        return
    assert 84_100_000_000 <= found <= 84_999_999_999
    assert parse(national(found)) == parse(international(found)) == found


# -- texts with places


def templates(data):
    """A text is refused with reasons, or fits the messages that it declares, whatever is put in."""
    bites = Bites(data)
    parts, words = bites.below(6), bites.text()
    leaf = {"text": words, "parts": parts}
    compiled = compile_leaf(leaf, KINDS)
    if not isinstance(compiled, Template):
        assert compiled
        assert all(compiled)
        return
    texts = {"a": leaf, MORE_KEY: "va {n} khac"}
    try:
        catalogue = Catalogue.build({"vi": texts})
    except CatalogueError as error:
        raise AssertionError(f"a leaf that is right is refused: {error}") from error
    values = {name: _value(kind_of(name), bites) for name in sorted(compiled.names)}
    said = catalogue.render("a", values, "vi")
    assert is_gsm7(said)
    size = count_parts(said)
    assert size.count <= parts, f"{size} of {said!r}"
    assert catalogue.parts_max("a", "vi") <= parts


def _value(kind, bites):
    """As wide as its kind may be, and no wider where nobody cuts it."""
    match kind:
        case Kind.MONEY:
            return bites.uint(4) % 10**10
        case Kind.TIME:
            return bites.uint(5) * 1_000 % 253_000_000_000_000
        case Kind.NUMBER:
            return 84_100_000_000 + bites.uint(4) % 899_999_999
        case Kind.COUNT:
            return bites.uint(2)
        case Kind.WORD:
            return gsm_safe(bites.text(), 16)
        case Kind.LIST:
            return [bites.text() for _ in range(bites.below(12))]
        case _:
            return bites.text()
