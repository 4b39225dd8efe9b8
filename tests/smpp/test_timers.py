"""The timers are one table, whole and sound."""

from typing import Annotated

import msgspec
import pytest

from telcod.smpp.timers import TIMERS, Timers, _row

pytestmark = pytest.mark.rule("SMPP-6")


def test_every_timer_has_a_row_with_a_sentence_and_a_range_that_holds_its_default():
    assert [row.name for row in TIMERS] == list(Timers.__struct_fields__)
    for row in TIMERS:
        assert row.least <= row.default <= row.most, row.name
        assert row.meaning.endswith((".", ").")), row.name
        assert row.unit == ("s" if row.name.endswith("_s") else ""), row.name


@pytest.mark.parametrize("row", TIMERS, ids=lambda row: row.name)
def test_configuration_out_of_range_is_refused(row):
    for value in (row.least - 1, row.most + 1):
        with pytest.raises(msgspec.ValidationError, match=row.name):
            msgspec.convert({row.name: value}, Timers)
    assert getattr(msgspec.convert({row.name: row.most}, Timers), row.name) == row.most


def test_a_timer_without_a_sentence_does_not_get_into_the_table():
    with pytest.raises(TypeError, match="nap_s"):
        _row("nap_s", Annotated[float, msgspec.Meta(ge=1, le=2)])


def test_an_unknown_timer_is_an_error():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"enquire_link": 30}, Timers)
