"""`/static`: the style sheet and the script that all pages share; read once, named by content.

A page names a file with its hash (`href("telcod.css")`), so browsers keep it for good and never
keep an old one.
"""

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, PathParameter

FOLDER: Final = Path(__file__).parent / "static"
# Nothing but these is ever read: a name in an address is no path.
KINDS: Final = {
    "telcod.css": "text/css; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
}
_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


@cache
def content(name: str) -> bytes:
    """A file; it changes with telcod only.

    Raises:
        KeyError: It is none of ours.
    """
    _ = KINDS[name]
    return (FOLDER / name).read_bytes()


@cache
def href(name: str) -> str:
    """Where a page finds a file."""
    return f"/static/{name}?v={blake2b(content(name), digest_size=6).hexdigest()}"


Name = Annotated[str, PathParameter(description="Its name.")]


@get("/static/{name:str}", include_in_schema=False, sync_to_thread=False)
def static_file(name: FromPath[str]) -> Response[Any]:
    """One file."""
    if name not in KINDS:
        raise NotFoundException
    return Response(content(name), media_type=KINDS[name], headers=_HEADERS)


ROUTES: Final = (static_file,)
