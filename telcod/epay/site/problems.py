"""What goes wrong on a page, as a page: which words, which status; the log gets the rest."""

from http import HTTPStatus
from typing import Any, Final

from litestar import Request

from telcod.web.problems import problem_of, rendered

_WHAT: Final = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.TOO_MANY_REQUESTS: "too_often",
    HTTPStatus.SERVICE_UNAVAILABLE: "busy",
}
_KEPT: Final[tuple[str, ...]] = ("Retry-After", "Allow")


def status_of(error: Exception) -> int:
    """The HTTP status of what went wrong."""
    problem, _ = problem_of(error)
    return problem.status


def answer_as_page(request: Request[Any, Any, Any], error: Exception) -> tuple[str, dict[str, str]]:
    """The words (`error.<what>`) and headers for what went wrong; logs what nobody foresaw."""
    told = rendered(error, path=request.url.path, method=request.method)
    what = _WHAT.get(HTTPStatus(told.status), "failed")
    kept: dict[str, str] = {name: told.headers[name] for name in _KEPT if name in told.headers}
    return what, kept
