"""What a bearer token lets its holder do (CLI-7)."""

from enum import StrEnum


class Scope(StrEnum):
    """Whose token it is; routes name the scopes that may use them."""

    USSD = "ussd"
    IVR = "ivr"
    NETWORK = "network"
    PORTAL = "portal"
    GATEWAY = "gateway"
    STAFF = "staff"
    ADMIN = "admin"
