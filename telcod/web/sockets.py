"""The sockets that HTTP listens on: a TCP port, and the control socket of mode 600."""

import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Any, Final

from telcod.errors import NotStarted
from telcod.settings import Settings

BACKLOG: Final = 1_024
SOCKET: Final = "telcod.sock"
_PROBE_WAIT_S: Final = 1.0
_PEER: Final = struct.Struct("3i")


def control_socket_path(settings: Settings) -> Path:
    """Where the command line finds the daemon: as configured, or else beside the books, or, if they
    are on a server, beside the configuration.
    """
    if settings.http.control_socket:
        return settings.folder / settings.http.control_socket
    database = settings.sqlite_path_or_none()
    return database.with_name(f"{database.name}.sock") if database else settings.folder / SOCKET


def tcp_socket(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes any free one.

    Raises:
        NotStarted: It can't be had.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise NotStarted(f"http.host {host!r} is no address: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)  # who calls before we serve waits instead of being refused
        sock.settimeout(0)
    except OSError as error:
        sock.close()
        raise NotStarted(
            f"HTTP can't listen on {host}:{port}: {error.strerror}",
            what_to_do="Stop what listens there, or set another http.port.",
        ) from error
    return sock


def unix_socket(path: Path) -> socket.socket:
    """A control socket that only its owner may open, from the moment it exists.

    Raises:
        NotStarted: Another daemon answers on it, or it can't be made.
    """
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # from the moment it exists nobody else may open it
    try:
        sock.bind(str(path))
        sock.listen(BACKLOG)  # who calls before we serve waits instead of being refused
        sock.settimeout(0)
    except OSError as error:
        sock.close()
        raise NotStarted(
            f"the control socket {path} can't be made: {error.strerror or error}",
            what_to_do="Set http.control_socket to a short path in a folder of telcod's own.",
        ) from error
    finally:
        os.umask(mask)
    return sock


def _remove_dead(path: Path) -> None:
    """Remove the socket of a daemon that was killed; one that lives is left alone."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_WAIT_S)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise NotStarted(
        f"another telcod answers on {path}", what_to_do="Stop it, or set http.control_socket."
    )


def peer_user(transport_socket: Any) -> str:
    """The name of the user who opened the other end; the kernel says so, not he."""
    with socket.socket(fileno=os.dup(transport_socket.fileno())) as sock:
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return user_name(_PEER.unpack(peer)[1])


def user_name(uid: int) -> str:
    """The name of a user of this machine; his number if he has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
