"""The whole dispatch table: the handlers' routes, and those that run them by other doors: USSD,
self-care, the staff console.

For whoever puts a daemon together: `telcod.app`, and the command line on books that no daemon has.
"""

from collections.abc import Mapping
from typing import Final

import handlers
import handlers.care
import handlers.selfcare
import ussd.sessions
from telcod.dispatch import Route


def with_sessions(routes: Mapping[str, Route]) -> Mapping[str, Route]:
    """The routes, and those of the doors that lead to them."""
    return {
        **routes,
        **ussd.sessions.routes(routes),
        **handlers.selfcare.routes(routes),
        **handlers.care.routes(routes),
    }


SERVICE: Final = with_sessions(handlers.ROUTES)
