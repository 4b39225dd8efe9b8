"""The numbers bear the right names: a slip here is a wrong status on the air."""

import pytest
from smpplib import command_codes, consts

from telcod.smpp.consts import (
    CommandId,
    CommandStatus,
    DataCoding,
    MessageState,
    TlvTag,
    is_request,
    response_id,
)

pytestmark = pytest.mark.rule("SMPP-1")


def test_every_command_id_is_the_one_that_smpplib_gives_that_name():
    ours = {name.lower(): int(value) for name, value in CommandId.__members__.items()}
    assert ours == command_codes.commands


def test_every_command_status_is_the_one_that_smpplib_gives_that_name():
    theirs = {
        name.removeprefix("SMPP_"): value
        for name, value in vars(consts).items()
        if name.startswith("SMPP_ESME_")
    }
    assert {name: int(value) for name, value in CommandStatus.__members__.items()} == theirs


def test_every_tlv_tag_is_the_one_that_smpplib_gives_that_name():
    ours = {name.lower(): int(value) for name, value in TlvTag.__members__.items()}
    assert ours.pop("congestion_state") == 0x0428  # v5.0
    assert ours == consts.OPTIONAL_PARAMS


def test_every_data_coding_is_the_one_that_smpplib_gives_that_name():
    theirs = {
        name.removeprefix("SMPP_ENCODING_"): value
        for name, value in vars(consts).items()
        if name.startswith("SMPP_ENCODING_")
    }
    assert {name: int(value) for name, value in DataCoding.__members__.items()} == theirs


def test_every_message_state_has_its_own_number_from_0_to_9():
    assert [state.value for state in sorted(MessageState)] == list(range(10))
    assert MessageState(2) is MessageState.DELIVERED


def test_the_numbers_that_matter_most_are_the_specs():
    # Written out once by hand from sections 5.1.2.1 and 5.1.3: smpplib could be wrong too.
    assert (CommandId.SUBMIT_SM, CommandId.DELIVER_SM, CommandId.DATA_SM) == (4, 5, 0x103)
    assert (CommandId.BIND_RECEIVER, CommandId.BIND_TRANSMITTER) == (1, 2)
    assert (CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL) == (0x58, 0x14)
    assert (CommandStatus.ESME_RX_T_APPN, CommandStatus.ESME_RINVPARLEN) == (0x64, 0xC2)
    assert (TlvTag.MESSAGE_PAYLOAD, TlvTag.USSD_SERVICE_OP) == (0x0424, 0x0501)
    assert (TlvTag.ITS_SESSION_INFO, TlvTag.RECEIPTED_MESSAGE_ID) == (0x1383, 0x001E)


@pytest.mark.rule("SMPP-2")
def test_every_request_is_answered_by_the_response_of_its_name():
    for command_id in CommandId:
        if command_id.name.endswith("_RESP"):
            assert not is_request(command_id)
            request = CommandId[command_id.name.removesuffix("_RESP")]
            assert response_id(request) == command_id


@pytest.mark.rule("SMPP-2")
@pytest.mark.parametrize("command_id", [0, 0x102, 0x0B, 0x7777, 0x0001_0201, 0x7FFF_FFFF])
def test_what_has_no_response_of_its_own_is_answered_by_generic_nack(command_id):
    assert is_request(command_id)
    assert response_id(command_id) == CommandId.GENERIC_NACK
