"""The table of layouts agrees with the structs, with the command ids, and with smpplib's sizes."""

import pytest
from smpplib import command, consts, exceptions

from telcod.smpp.consts import CommandId
from telcod.smpp.layout import COMMAND_IDS, LAYOUTS, Kind

pytestmark = pytest.mark.rule("SMPP-1")

# smpplib gives these 21 octets; v3.4 4.7.1 and 4.12.1 say "Var. max 65".
LONG_ADDRESSES = {
    ("data_sm", "source_addr"),
    ("data_sm", "destination_addr"),
    ("alert_notification", "source_addr"),
    ("alert_notification", "esme_addr"),
}


def smpplib_params(name):
    """smpplib's rows for a command, without TLVs; None if it does not have the command."""
    try:
        theirs = command.factory(name, sequence=1)
    except exceptions.UnknownCommandError:
        return None
    return [
        (field, theirs.params[field])
        for field in theirs.params_order
        if not theirs.field_is_optional(field)
    ]


def test_every_command_has_a_layout_and_every_body_one_command():
    assert set(LAYOUTS) == set(CommandId)
    assert len(COMMAND_IDS) == len(LAYOUTS)


@pytest.mark.parametrize("command_id", list(CommandId), ids=lambda command_id: command_id.name)
def test_the_rows_are_the_fields_of_the_struct_in_the_same_order(command_id):
    layout = LAYOUTS[command_id]
    rows = [field.name for field in layout.fields] + ["tlvs"] * layout.tlvs
    assert rows == list(layout.body.__struct_fields__)


@pytest.mark.parametrize("command_id", list(CommandId), ids=lambda command_id: command_id.name)
def test_the_sizes_are_those_of_smpplib_where_it_has_the_command(command_id):
    name = command_id.name.lower()
    params = smpplib_params(name)
    if params is None:
        assert name in {
            "outbind",
            "replace_sm",
            "replace_sm_resp",
            "cancel_sm",
            "cancel_sm_resp",
            "submit_multi",
            "submit_multi_resp",
        }
        return
    theirs = [
        (field, getattr(param, "max", getattr(param, "size", None)))
        for field, param in params
        if field != "sm_length"  # Ours has it in short_message's row.
    ]
    ours = [(field.name, field.bytes_max) for field in LAYOUTS[command_id].fields]
    for (our_name, our_size), (their_name, their_size) in zip(ours, theirs, strict=True):
        assert our_name == their_name
        assert our_size == (65 if (name, our_name) in LONG_ADDRESSES else their_size)


def test_no_mandatory_field_bears_the_name_of_a_tlv_but_message_state():
    # query_sm_resp has it as a mandatory field (4.8.2), deliver_sm as a TLV (5.3.2.35).
    rows = {field.name for layout in LAYOUTS.values() for field in layout.fields}
    assert rows & set(consts.OPTIONAL_PARAMS) == {"message_state"}


def test_only_text_and_short_message_rows_have_a_limit_of_their_own():
    for layout in LAYOUTS.values():
        for field in layout.fields:
            assert (field.bytes_max == 1) == (field.kind is Kind.UINT8)
