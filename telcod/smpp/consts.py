"""The numbers of SMPP v3.4 under the spec's own names.  Pure.

The values are smpplib's wherever it has them, so that a slip of ours cannot exist; the few that
it lacks (v5.0 peers, USSD operations, message types from the SMSC) are written out, with their
section.  Peers send numbers that are in no table: the codec hands on plain integers, and these
enums are for writing code, not for refusing what arrives.
"""

from enum import IntEnum
from typing import Final

# smpplib ships no types; every value below becomes an int by way of an IntEnum.
from smpplib import command_codes, consts

RESPONSE_BIT: Final = 0x8000_0000  # Section 5.1.2.1: set in the command_id of every response.
SEQUENCE_NUMBER_MIN: Final = 1  # Section 3.2.
SEQUENCE_NUMBER_MAX: Final = 0x7FFF_FFFF
SHORT_MESSAGE_BYTES_MAX: Final = 254  # Section 5.2.21: 255 is not allowed.
PDU_BYTES_MAX: Final = 64 * 1024  # Ours, not the spec's: a peer may not make us buffer 4 GiB.
HEADER_BYTES: Final = 16

_COMMANDS: Final = command_codes.commands
_TLVS: Final = consts.OPTIONAL_PARAMS


class CommandId(IntEnum):
    """Section 5.1.2.1."""

    GENERIC_NACK = _COMMANDS["generic_nack"]
    BIND_RECEIVER = _COMMANDS["bind_receiver"]
    BIND_RECEIVER_RESP = _COMMANDS["bind_receiver_resp"]
    BIND_TRANSMITTER = _COMMANDS["bind_transmitter"]
    BIND_TRANSMITTER_RESP = _COMMANDS["bind_transmitter_resp"]
    QUERY_SM = _COMMANDS["query_sm"]
    QUERY_SM_RESP = _COMMANDS["query_sm_resp"]
    SUBMIT_SM = _COMMANDS["submit_sm"]
    SUBMIT_SM_RESP = _COMMANDS["submit_sm_resp"]
    DELIVER_SM = _COMMANDS["deliver_sm"]
    DELIVER_SM_RESP = _COMMANDS["deliver_sm_resp"]
    UNBIND = _COMMANDS["unbind"]
    UNBIND_RESP = _COMMANDS["unbind_resp"]
    REPLACE_SM = _COMMANDS["replace_sm"]
    REPLACE_SM_RESP = _COMMANDS["replace_sm_resp"]
    CANCEL_SM = _COMMANDS["cancel_sm"]
    CANCEL_SM_RESP = _COMMANDS["cancel_sm_resp"]
    BIND_TRANSCEIVER = _COMMANDS["bind_transceiver"]
    BIND_TRANSCEIVER_RESP = _COMMANDS["bind_transceiver_resp"]
    OUTBIND = _COMMANDS["outbind"]
    ENQUIRE_LINK = _COMMANDS["enquire_link"]
    ENQUIRE_LINK_RESP = _COMMANDS["enquire_link_resp"]
    SUBMIT_MULTI = _COMMANDS["submit_multi"]
    SUBMIT_MULTI_RESP = _COMMANDS["submit_multi_resp"]
    ALERT_NOTIFICATION = _COMMANDS["alert_notification"]
    DATA_SM = _COMMANDS["data_sm"]
    DATA_SM_RESP = _COMMANDS["data_sm_resp"]


class CommandStatus(IntEnum):
    """Section 5.1.3.  0x400 to 0x4FF are the vendors' own and have no name here."""

    ESME_ROK = consts.SMPP_ESME_ROK
    ESME_RINVMSGLEN = consts.SMPP_ESME_RINVMSGLEN
    ESME_RINVCMDLEN = consts.SMPP_ESME_RINVCMDLEN
    ESME_RINVCMDID = consts.SMPP_ESME_RINVCMDID
    ESME_RINVBNDSTS = consts.SMPP_ESME_RINVBNDSTS
    ESME_RALYBND = consts.SMPP_ESME_RALYBND
    ESME_RINVPRTFLG = consts.SMPP_ESME_RINVPRTFLG
    ESME_RINVREGDLVFLG = consts.SMPP_ESME_RINVREGDLVFLG
    ESME_RSYSERR = consts.SMPP_ESME_RSYSERR
    ESME_RINVSRCADR = consts.SMPP_ESME_RINVSRCADR
    ESME_RINVDSTADR = consts.SMPP_ESME_RINVDSTADR
    ESME_RINVMSGID = consts.SMPP_ESME_RINVMSGID
    ESME_RBINDFAIL = consts.SMPP_ESME_RBINDFAIL
    ESME_RINVPASWD = consts.SMPP_ESME_RINVPASWD
    ESME_RINVSYSID = consts.SMPP_ESME_RINVSYSID
    ESME_RCANCELFAIL = consts.SMPP_ESME_RCANCELFAIL
    ESME_RREPLACEFAIL = consts.SMPP_ESME_RREPLACEFAIL
    ESME_RMSGQFUL = consts.SMPP_ESME_RMSGQFUL
    ESME_RINVSERTYP = consts.SMPP_ESME_RINVSERTYP
    ESME_RINVNUMDESTS = consts.SMPP_ESME_RINVNUMDESTS
    ESME_RINVDLNAME = consts.SMPP_ESME_RINVDLNAME
    ESME_RINVDESTFLAG = consts.SMPP_ESME_RINVDESTFLAG
    ESME_RINVSUBREP = consts.SMPP_ESME_RINVSUBREP
    ESME_RINVESMCLASS = consts.SMPP_ESME_RINVESMCLASS
    ESME_RCNTSUBDL = consts.SMPP_ESME_RCNTSUBDL
    ESME_RSUBMITFAIL = consts.SMPP_ESME_RSUBMITFAIL
    ESME_RINVSRCTON = consts.SMPP_ESME_RINVSRCTON
    ESME_RINVSRCNPI = consts.SMPP_ESME_RINVSRCNPI
    ESME_RINVDSTTON = consts.SMPP_ESME_RINVDSTTON
    ESME_RINVDSTNPI = consts.SMPP_ESME_RINVDSTNPI
    ESME_RINVSYSTYP = consts.SMPP_ESME_RINVSYSTYP
    ESME_RINVREPFLAG = consts.SMPP_ESME_RINVREPFLAG
    ESME_RINVNUMMSGS = consts.SMPP_ESME_RINVNUMMSGS
    ESME_RTHROTTLED = consts.SMPP_ESME_RTHROTTLED
    ESME_RINVSCHED = consts.SMPP_ESME_RINVSCHED
    ESME_RINVEXPIRY = consts.SMPP_ESME_RINVEXPIRY
    ESME_RINVDFTMSGID = consts.SMPP_ESME_RINVDFTMSGID
    ESME_RX_T_APPN = consts.SMPP_ESME_RX_T_APPN
    ESME_RX_P_APPN = consts.SMPP_ESME_RX_P_APPN
    ESME_RX_R_APPN = consts.SMPP_ESME_RX_R_APPN
    ESME_RQUERYFAIL = consts.SMPP_ESME_RQUERYFAIL
    ESME_RINVOPTPARSTREAM = consts.SMPP_ESME_RINVOPTPARSTREAM
    ESME_ROPTPARNOTALLWD = consts.SMPP_ESME_ROPTPARNOTALLWD
    ESME_RINVPARLEN = consts.SMPP_ESME_RINVPARLEN
    ESME_RMISSINGOPTPARAM = consts.SMPP_ESME_RMISSINGOPTPARAM
    ESME_RINVOPTPARAMVAL = consts.SMPP_ESME_RINVOPTPARAMVAL
    ESME_RDELIVERYFAILURE = consts.SMPP_ESME_RDELIVERYFAILURE
    ESME_RUNKNOWNERR = consts.SMPP_ESME_RUNKNOWNERR


class TlvTag(IntEnum):
    """Section 5.3.2; a tag that is not here is the vendor's or a later version's, and is kept."""

    DEST_ADDR_SUBUNIT = _TLVS["dest_addr_subunit"]
    DEST_NETWORK_TYPE = _TLVS["dest_network_type"]
    DEST_BEARER_TYPE = _TLVS["dest_bearer_type"]
    DEST_TELEMATICS_ID = _TLVS["dest_telematics_id"]
    SOURCE_ADDR_SUBUNIT = _TLVS["source_addr_subunit"]
    SOURCE_NETWORK_TYPE = _TLVS["source_network_type"]
    SOURCE_BEARER_TYPE = _TLVS["source_bearer_type"]
    SOURCE_TELEMATICS_ID = _TLVS["source_telematics_id"]
    QOS_TIME_TO_LIVE = _TLVS["qos_time_to_live"]
    PAYLOAD_TYPE = _TLVS["payload_type"]
    ADDITIONAL_STATUS_INFO_TEXT = _TLVS["additional_status_info_text"]
    RECEIPTED_MESSAGE_ID = _TLVS["receipted_message_id"]
    MS_MSG_WAIT_FACILITIES = _TLVS["ms_msg_wait_facilities"]
    PRIVACY_INDICATOR = _TLVS["privacy_indicator"]
    SOURCE_SUBADDRESS = _TLVS["source_subaddress"]
    DEST_SUBADDRESS = _TLVS["dest_subaddress"]
    USER_MESSAGE_REFERENCE = _TLVS["user_message_reference"]
    USER_RESPONSE_CODE = _TLVS["user_response_code"]
    SOURCE_PORT = _TLVS["source_port"]
    DESTINATION_PORT = _TLVS["destination_port"]
    SAR_MSG_REF_NUM = _TLVS["sar_msg_ref_num"]
    LANGUAGE_INDICATOR = _TLVS["language_indicator"]
    SAR_TOTAL_SEGMENTS = _TLVS["sar_total_segments"]
    SAR_SEGMENT_SEQNUM = _TLVS["sar_segment_seqnum"]
    SC_INTERFACE_VERSION = _TLVS["sc_interface_version"]
    CALLBACK_NUM_PRES_IND = _TLVS["callback_num_pres_ind"]
    CALLBACK_NUM_ATAG = _TLVS["callback_num_atag"]
    NUMBER_OF_MESSAGES = _TLVS["number_of_messages"]
    CALLBACK_NUM = _TLVS["callback_num"]
    DPF_RESULT = _TLVS["dpf_result"]
    SET_DPF = _TLVS["set_dpf"]
    MS_AVAILABILITY_STATUS = _TLVS["ms_availability_status"]
    NETWORK_ERROR_CODE = _TLVS["network_error_code"]
    MESSAGE_PAYLOAD = _TLVS["message_payload"]
    DELIVERY_FAILURE_REASON = _TLVS["delivery_failure_reason"]
    MORE_MESSAGES_TO_SEND = _TLVS["more_messages_to_send"]
    MESSAGE_STATE = _TLVS["message_state"]
    CONGESTION_STATE = 0x0428  # v5.0, 4.8.4.18; smpplib stops at v3.4.
    USSD_SERVICE_OP = _TLVS["ussd_service_op"]
    DISPLAY_TIME = _TLVS["display_time"]
    SMS_SIGNAL = _TLVS["sms_signal"]
    MS_VALIDITY = _TLVS["ms_validity"]
    ALERT_ON_MESSAGE_DELIVERY = _TLVS["alert_on_message_delivery"]
    ITS_REPLY_TYPE = _TLVS["its_reply_type"]
    ITS_SESSION_INFO = _TLVS["its_session_info"]


class DataCoding(IntEnum):
    """Section 5.2.19.  0 means what the link's configuration says it means."""

    DEFAULT = consts.SMPP_ENCODING_DEFAULT
    IA5 = consts.SMPP_ENCODING_IA5
    BINARY = consts.SMPP_ENCODING_BINARY
    ISO88591 = consts.SMPP_ENCODING_ISO88591
    BINARY2 = consts.SMPP_ENCODING_BINARY2
    JIS = consts.SMPP_ENCODING_JIS
    ISO88595 = consts.SMPP_ENCODING_ISO88595
    ISO88598 = consts.SMPP_ENCODING_ISO88598
    ISO10646 = consts.SMPP_ENCODING_ISO10646
    PICTOGRAM = consts.SMPP_ENCODING_PICTOGRAM
    ISO2022JP = consts.SMPP_ENCODING_ISO2022JP
    EXTJIS = consts.SMPP_ENCODING_EXTJIS
    KSC5601 = consts.SMPP_ENCODING_KSC5601


class EsmClass(IntEnum):
    """Section 5.2.12: masks, and the values that occur under them."""

    MODE_MASK = 0x03
    MODE_DEFAULT = consts.SMPP_MSGMODE_DEFAULT
    MODE_DATAGRAM = consts.SMPP_MSGMODE_DATAGRAM
    MODE_FORWARD = consts.SMPP_MSGMODE_FORWARD
    MODE_STOREFORWARD = consts.SMPP_MSGMODE_STOREFORWARD
    TYPE_MASK = 0x3C  # Bits 5 to 2.
    TYPE_DELIVERY_RECEIPT = 0x04  # From the SMSC; smpplib names only what an ESME sends.
    TYPE_DELIVERY_ACK = consts.SMPP_MSGTYPE_DELIVERYACK
    TYPE_USER_ACK = consts.SMPP_MSGTYPE_USERACK
    TYPE_CONVERSATION_ABORT = 0x18
    TYPE_INTERMEDIATE_NOTIFICATION = 0x20
    UDHI = consts.SMPP_GSMFEAT_UDHI
    REPLY_PATH = consts.SMPP_GSMFEAT_REPLYPATH


class RegisteredDelivery(IntEnum):
    """Section 5.2.17."""

    RECEIPT_MASK = consts.SMPP_SMSC_DELIVERY_RECEIPT_BITMASK
    RECEIPT_NONE = consts.SMPP_SMSC_DELIVERY_RECEIPT_NONE
    RECEIPT_ALWAYS = consts.SMPP_SMSC_DELIVERY_RECEIPT_BOTH
    RECEIPT_ON_FAILURE = consts.SMPP_SMSC_DELIVERY_RECEIPT_FAILURE
    ACK_DELIVERY = consts.SMPP_SME_ACK_DELIVERY
    ACK_MANUAL = consts.SMPP_SME_ACK_MANUAL
    INTERMEDIATE = consts.SMPP_INT_NOTIFICATION_REQUESTED


class MessageState(IntEnum):
    """Section 5.2.28, with the two that v5.0 (4.7.15) adds."""

    SCHEDULED = 0
    ENROUTE = consts.SMPP_MESSAGE_STATE_ENROUTE
    DELIVERED = consts.SMPP_MESSAGE_STATE_DELIVERED
    EXPIRED = consts.SMPP_MESSAGE_STATE_EXPIRED
    DELETED = consts.SMPP_MESSAGE_STATE_DELETED
    UNDELIVERABLE = consts.SMPP_MESSAGE_STATE_UNDELIVERABLE
    ACCEPTED = consts.SMPP_MESSAGE_STATE_ACCEPTED
    UNKNOWN = consts.SMPP_MESSAGE_STATE_UNKNOWN
    REJECTED = consts.SMPP_MESSAGE_STATE_REJECTED
    SKIPPED = 9


class Ton(IntEnum):
    """Type of number, section 5.2.5."""

    UNKNOWN = consts.SMPP_TON_UNK
    INTERNATIONAL = consts.SMPP_TON_INTL
    NATIONAL = consts.SMPP_TON_NATNL
    NETWORK_SPECIFIC = consts.SMPP_TON_NWSPEC
    SUBSCRIBER_NUMBER = consts.SMPP_TON_SBSCR
    ALPHANUMERIC = consts.SMPP_TON_ALNUM
    ABBREVIATED = consts.SMPP_TON_ABBREV


class Npi(IntEnum):
    """Numbering plan, section 5.2.6."""

    UNKNOWN = consts.SMPP_NPI_UNK
    ISDN = consts.SMPP_NPI_ISDN
    DATA = consts.SMPP_NPI_DATA
    TELEX = consts.SMPP_NPI_TELEX
    LAND_MOBILE = consts.SMPP_NPI_LNDMBL
    NATIONAL = consts.SMPP_NPI_NATNL
    PRIVATE = consts.SMPP_NPI_PRVT
    ERMES = consts.SMPP_NPI_ERMES
    INTERNET = consts.SMPP_NPI_IP
    WAP = consts.SMPP_NPI_WAP


class InterfaceVersion(IntEnum):
    """Section 5.2.4.  A bind_resp without sc_interface_version means V3_3 (section 3.4)."""

    V3_3 = consts.SMPP_VERSION_33
    V3_4 = consts.SMPP_VERSION_34
    V5_0 = 0x50


class UssdServiceOp(IntEnum):
    """Section 5.3.2.44; 32 to 255 are the vendors' own."""

    PSSD_INDICATION = 0
    PSSR_INDICATION = 1
    USSR_REQUEST = 2
    USSN_REQUEST = 3
    PSSD_RESPONSE = 16
    PSSR_RESPONSE = 17
    USSR_CONFIRM = 18
    USSN_CONFIRM = 19


_ANSWERED: Final = frozenset(
    int(command_id)
    for command_id in CommandId
    if command_id < RESPONSE_BIT and f"{command_id.name}_RESP" in CommandId.__members__
)


def is_request(command_id: int) -> bool:
    """Say whether the command_id, known or not, is a request's (outbind and alerts included)."""
    return command_id < RESPONSE_BIT


def response_id(command_id: int) -> int:
    """Say which command answers this request.

    Returns:
        The matching response; `GENERIC_NACK` for a command that has none of its own: unknown
        ones, and outbind and alert_notification, which are answered only when malformed.
    """
    if command_id in _ANSWERED:
        return command_id | RESPONSE_BIT
    return int(CommandId.GENERIC_NACK)
