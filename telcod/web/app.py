"""The HTTP application: routes, guards, problems, OpenAPI.  One is made for TCP, one for the control socket."""

from collections.abc import Sequence
from typing import Any, Final

from litestar import Litestar
from litestar.config.app import ExperimentalFeatures
from litestar.datastructures import ResponseHeader, State
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

import telcod
from telcod.web import admin_routes, open_routes, staff_routes
from telcod.web.auth import Gatekeeper, TokenBook
from telcod.web.limits import Buckets, WebLimits
from telcod.web.ports import Backend
from telcod.web.problems import Problem, answer_problem
