"""The operator of `tests.book_world` with a console: staff with tokens, and every sort of case."""

from litestar.testing import TestClient

import handlers
from handlers import care
from telcod.console.house import Console
from telcod.dispatch import Args, Route
from telcod.rows import CENTRE, AUDIT, Centre
from telcod.types import Channel, Request
from telcod.web.app import make_app
from telcod.web.scopes import Scope
from tests.book_world import BookWorld, rules_without_risk
from tests.call_world import CallDoors
from tests.text_world import TextWorld
from tests.web.fake_backend import FakeBackend
from tests.web.test_report_routes import Reader
