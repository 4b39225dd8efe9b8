"""Texts: alphabets, codings, long messages, and the folding of what people type.  Pure.

One module per concern; this page is what the rest of telcod uses of them.
"""

from telcod.text.codings import (
    DATA_CODING_DEFAULT,
    DATA_CODING_UCS2,
    DefaultAlphabet,
    decode_packed,
    decode_short_message,
    decode_ucs2,
    encode_ucs2,
    without_nul,
)
from telcod.text.fold import SHORT_CODES, fold, fold_keep, raw_after, unaccent
from telcod.text.gsm import (
    EXTENSION_CHARACTERS,
    NotGsm7Error,
    decode_gsm7,
    encode_gsm7,
    fill_bits_after,
    foreign_characters,
    gsm7_or_none,
    is_gsm7,
    pack,
    pad_with_cr,
    septets,
    unpack,
)
from telcod.text.parts import (
    Alphabet,
    Part,
    Parts,
    TextTooLongError,
    count_parts,
    room_septets,
    split,
)
from telcod.text.udh import (
    PARTS_TOTAL_MAX,
    Concat,
    Udh,
    UdhProblem,
    parse_udh,
    udh_concat,
)
from telcod.text.values import gsm_safe, join_cut, local_time, money

__all__ = [
    "DATA_CODING_DEFAULT",
    "DATA_CODING_UCS2",
    "DefaultAlphabet",
    "decode_packed",
    "decode_short_message",
    "decode_ucs2",
    "encode_ucs2",
    "EXTENSION_CHARACTERS",
    "NotGsm7Error",
    "decode_gsm7",
    "encode_gsm7",
    "fill_bits_after",
    "foreign_characters",
    "gsm7_or_none",
    "is_gsm7",
    "pack",
    "pad_with_cr",
    "septets",
    "unpack",
    "Concat",
    "PARTS_TOTAL_MAX",
    "Udh",
    "UdhProblem",
    "parse_udh",
    "udh_concat",
    "Alphabet",
    "Part",
    "Parts",
    "TextTooLongError",
    "count_parts",
    "room_septets",
    "split",
    "SHORT_CODES",
    "fold",
    "fold_keep",
    "raw_after",
    "unaccent",
    "gsm_safe",
    "join_cut",
    "local_time",
    "money",
    "without_nul",
]
