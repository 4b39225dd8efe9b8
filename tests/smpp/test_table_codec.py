"""The reference codec says what is wrong: each wrongness has its command_status and its field."""

import pytest

from telcod.smpp.consts import CommandId, CommandStatus
from telcod.smpp.pdu import (
    BindTransceiver,
    CancelSm,
    DataSm,
    DeliverSm,
    DistributionList,
    QuerySm,
    ReplaceSm,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    TlvTag,
    UnsuccessSme,
)
from telcod.smpp.table_codec import decode_body, encode_body
from telcod.smpp.tlv import BodyError

HEADER = bytes(16)
PAYLOAD = (Tlv(TlvTag.MESSAGE_PAYLOAD, b"x"),)

# A submit_sm in pieces: each case below spoils one of them.
SM = ["00", "01 01 3100", "01 01 3200", "00 00 00", "00", "00", "00 00 00 00", "02 6869"]


def sm(at=None, octets="", *, then=""):
    pieces = list(SM)
    if at is not None:
        pieces[at] = octets
    return bytes.fromhex("".join(pieces) + then)


def longer(count):
    return "41" * count + "00"


CASES = [
    (CommandId.SUBMIT_SM, sm(0, longer(6)), "ESME_RINVSERTYP", "service_type"),
    (CommandId.SUBMIT_SM, sm(1, "0101" + longer(21)), "ESME_RINVSRCADR", "source_addr"),
    (CommandId.SUBMIT_SM, sm(2, "0101" + longer(21)), "ESME_RINVDSTADR", "destination_addr"),
    (CommandId.SUBMIT_SM, sm(4, longer(17)), "ESME_RINVSCHED", "schedule_delivery_time"),
    (CommandId.SUBMIT_SM, sm(5, longer(17)), "ESME_RINVEXPIRY", "validity_period"),
    (CommandId.DELIVER_SM, sm(7, "ff" + "41" * 255), "ESME_RINVMSGLEN", "sm_length"),
    (CommandId.DELIVER_SM, sm(7, "03 6869"), "ESME_RINVMSGLEN", "sm_length"),
    (CommandId.DELIVER_SM, sm(7, ""), "ESME_RINVCMDLEN", "short_message"),
    (CommandId.DELIVER_SM, b"", "ESME_RINVCMDLEN", "service_type"),
    (CommandId.DELIVER_SM, b"USS", "ESME_RINVCMDLEN", "service_type"),
    (CommandId.DELIVER_SM, b"\0", "ESME_RINVCMDLEN", "source_addr_ton"),
    (CommandId.DELIVER_SM, sm(then="0501 0002 02"), "ESME_RINVPARLEN", "0x0501"),
    (CommandId.DELIVER_SM, sm(then="05"), "ESME_RINVOPTPARSTREAM", "1 octets"),
    (CommandId.BIND_TRANSCEIVER, b"A" * 16 + b"\0", "ESME_RINVSYSID", "system_id"),
    (CommandId.BIND_TRANSCEIVER, b"\0" + b"A" * 9 + b"\0", "ESME_RINVPASWD", "password"),
    (CommandId.BIND_TRANSCEIVER, b"\0\0" + b"A" * 13 + b"\0", "ESME_RINVSYSTYP", "system_type"),
    (CommandId.QUERY_SM, b"A" * 65 + b"\0", "ESME_RINVMSGID", "message_id"),
    (CommandId.SUBMIT_SM_RESP, b"A" * 65 + b"\0", "ESME_RINVMSGID", "message_id"),
    (CommandId.SUBMIT_SM_RESP, b"", "ESME_RINVCMDLEN", "message_id"),
    (CommandId.SUBMIT_MULTI, b"\0\0\0\0\0", "ESME_RINVNUMDESTS", "number_of_dests 0"),
    (CommandId.SUBMIT_MULTI, b"\0\0\0\0\xff", "ESME_RINVNUMDESTS", "number_of_dests 255"),
    (CommandId.SUBMIT_MULTI, b"\0\0\0\0\1\3", "ESME_RINVDESTFLAG", "dest_flag 3"),
    (CommandId.SUBMIT_MULTI, b"\0\0\0\0\1\2" + b"A" * 21, "ESME_RINVDLNAME", "dl_name"),
    (CommandId.SUBMIT_MULTI, b"\0\0\0\0\1", "ESME_RINVCMDLEN", "dest_addresses"),
    (CommandId.SUBMIT_MULTI_RESP, b"\0\1\1\1\0\0\0\0", "ESME_RINVCMDLEN", "unsuccess_smes"),
    (CommandId.ENQUIRE_LINK, b"\0\0\0", "ESME_RINVCMDLEN", "3 octets too many"),
    (0x0000_0010, b"", "ESME_RINVCMDID", "0x00000010"),
    (0x8000_0010, b"", "ESME_RINVCMDID", "0x80000010"),
]


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize(("command_id", "body", "status", "named"), CASES)
def test_a_malformed_body_names_its_field_and_has_its_status(command_id, body, status, named):
    with pytest.raises(BodyError) as caught:
        decode_body(command_id, 0, HEADER + body)
    assert caught.value.status is CommandStatus[status]
    assert named in caught.value.reason


@pytest.mark.rule("SMPP-2")
def test_the_unspoiled_one_is_read():
    assert decode_body(CommandId.SUBMIT_SM, 0, HEADER + sm()) == SubmitSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr="1",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr="2",
        short_message=b"hi",
    )


@pytest.mark.rule("SMPP-2", "SMPP-8")
def test_no_complaint_quotes_what_was_in_the_field():
    with pytest.raises(BodyError) as caught:
        decode_body(CommandId.BIND_TRANSCEIVER, 0, HEADER + b"me\0hunter2hunter2\0")
    assert "hunter2" not in caught.value.reason
    for password in ("hunter2hunter2", "hunter2\0", "hunter2đ"):
        with pytest.raises(ValueError, match="password") as refused:
            encode_body(BindTransceiver("me", password))
        assert "hunter2" not in str(refused.value)
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.rule("SMPP-2")
def test_well_formed_tlvs_behind_a_body_that_has_none_are_skipped():
    for command_id in (CommandId.ENQUIRE_LINK, CommandId.UNBIND, CommandId.CANCEL_SM_RESP):
        body = decode_body(command_id, 0, HEADER + bytes.fromhex("1400 0002 0102"))
        assert body == decode_body(command_id, 0, HEADER)


REFUSED = [
    (SubmitSm(service_type="A" * 6), "service_type"),
    (SubmitSm(source_addr="1" * 21), "source_addr"),
    (SubmitSm(destination_addr="1\0"), "destination_addr"),
    (SubmitSm(destination_addr="số"), "destination_addr"),
    (SubmitSm(validity_period="0" * 17), "validity_period"),
    (SubmitSm(esm_class=256), "esm_class"),
    (SubmitSm(data_coding=-1), "data_coding"),
    (SubmitSm(short_message=bytes(255)), "short_message"),
    (SubmitSm(short_message=b"x", tlvs=PAYLOAD), "short_message"),
    (DeliverSm(short_message=b"x", tlvs=PAYLOAD), "short_message"),
    (ReplaceSm(short_message=bytes(255)), "short_message"),
    (DataSm(source_addr="1" * 65), "source_addr"),
    (QuerySm(message_id="A" * 65), "message_id"),
    (CancelSm(dest_addr_npi=256), "dest_addr_npi"),
    (SubmitSmResp(message_id="A" * 65), "message_id"),
    (SubmitMulti(), "dest_addresses"),
    (SubmitMulti(dest_addresses=(SmeAddress(1, 1, "1"),) * 255), "dest_addresses"),
    (SubmitMulti(dest_addresses=(DistributionList("A" * 21),)), "dl_name"),
    (SubmitMulti(dest_addresses=(SmeAddress(256, 1, "1"),)), "dest_addr_ton"),
    (
        SubmitMulti(dest_addresses=(SmeAddress(1, 1, "1"),), short_message=b"x", tlvs=PAYLOAD),
        "short_message",
    ),
    (SubmitMultiResp(unsuccess_smes=(UnsuccessSme(1, 1, "1", 0),) * 256), "unsuccess_smes"),
    (SubmitMultiResp(unsuccess_smes=(UnsuccessSme(1, 1, "1", -1),)), "error_status_code"),
    (SubmitSm(tlvs=(Tlv(0x10000, b""),)), "tlvs"),
]


@pytest.mark.rule("SMPP-1")
@pytest.mark.parametrize(("body", "named"), REFUSED)
def test_a_value_that_does_not_fit_is_refused_by_name(body, named):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        encode_body(body)
