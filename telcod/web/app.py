"""The HTTP application: routes, guards, problems, OpenAPI (HTTP-1…3).

One is made for the TCP port and one for the control socket; they differ in who is let through, and
in how much the import may send.
"""

from collections.abc import Sequence
from typing import Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

import telcod
from telcod.web import (
    admin_routes,
    network_routes,
    open_routes,
    ops_routes,
    report_routes,
    staff_routes,
    static_files,
)
from telcod.web.auth import Gatekeeper, TokenBook
from telcod.web.limits import Buckets, WebLimits
from telcod.web.ports import Backend
from telcod.web.problems import answer_problem

_DESCRIPTION: Final = """\
Money is whole dong, times are Unix milliseconds, numbers are taken in any form.
Errors are `application/problem+json` with `code`, `detail`, `what_to_do` and, where fields are \
wrong, `errors`.
429 and 503 come with `Retry-After`: nothing was done, and the same call may be sent again.
"""


def make_app(
    backend: Backend,
    *,
    control: bool,
    limits: WebLimits | None = None,
    tokens: TokenBook | None = None,
    dialects: Sequence[HTTPRouteHandler] = (),
) -> Litestar:
    """Make the application.

    Args:
        backend: The daemon behind it.
        control: Whether it is for the control socket: no token is asked for.
        limits: How much callers may ask.
        tokens: Shared by all applications of one daemon, so that a token that is revoked through
            one opens nothing on the others from then on.
        dialects: The routes of the doors that are packages of their own (`ivr`, `ussd`).
    """
    limits = limits or WebLimits()
    tokens = tokens or TokenBook(backend, backend.clock)
    buckets = Buckets(rate_per_s=limits.rate_per_s, burst=limits.burst)
    import_bytes_max = admin_routes.IMPORT_BYTES_MAX if control else limits.body_bytes_max
    admin = admin_routes.routes(import_bytes_max=import_bytes_max)
    ops = ops_routes.routes(control=control)
    file_bytes_max = report_routes.FILE_CHARS_MAX if control else limits.body_bytes_max
    reports = report_routes.routes(file_bytes_max=file_bytes_max)
    protected = Router(
        path="/",
        route_handlers=[
            *staff_routes.ROUTES,
            *network_routes.ROUTES,
            *reports,
            *admin,
            *ops,
            *dialects,
        ],
        security=[{"token": []}],
    )
    keeper = Gatekeeper(tokens, backend.clock, buckets, control=control)
    return Litestar(
        route_handlers=[*open_routes.ROUTES, *static_files.ROUTES, protected],
        guards=[keeper.guard],
        exception_handlers={Exception: answer_problem},
        state=State(
            {"backend": backend, "tokens": tokens, "limits": limits, "keeper": keeper},
            deep_copy=False,
        ),
        request_max_body_size=limits.body_bytes_max,
        openapi_config=_openapi(),
        logging_config=None,
        debug=False,
    )


def _openapi() -> OpenAPIConfig:
    scheme = SecurityScheme(
        type="http", scheme="bearer", description="Made by `telcod token create`."
    )
    return OpenAPIConfig(
        title="telcod",
        version=telcod.__version__,
        description=_DESCRIPTION,
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"token": scheme}),
    )
