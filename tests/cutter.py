"""A wire to a server that is cut at a chosen word: before it arrives, or before its answer does.

It passes bytes on between a client and the server, a thread for each direction.  `cut_at` waits for
a word from the client.  Then either it is not passed on, or it is and the server's answer is
swallowed until it has said `done`; and both ends are closed.
"""

import contextlib
import socket
import threading

CHUNK = 65_536
WAIT_S = 30


class Cutter:
    """`port` is where the client connects; `with` opens and closes it."""

    def __init__(self, server_port):
        self._server_port = server_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets = []
        self._threads = []
        self._word = self._done = None
        self._answered = False
        self._swallowing = False
        self._round = 0
        self.refuses = False  # Whether new connections are closed at once.
        self.cuts = 0
        self.then = lambda: None  # What happens at the server before the ends are closed.

    def __enter__(self):
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_):
        # Not only closed: a thread that waits in accept() would not wake up.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join(WAIT_S)
        self._listening.close()
        _close(self._sockets)
        for thread in self._threads:
            thread.join(WAIT_S)

    def cut_at(self, word, *, answered, done=b""):
        """Cut once, at the next `word` of the client."""
        self._word, self._done, self._answered = word, done, answered
        self._round += 1  # What was said before does not count.

    def _accept(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += [client, server]
            for source, target, passed in (
                (client, server, self._of_client),
                (server, client, self._of_server),
            ):
                thread = threading.Thread(
                    target=self._pump, args=(source, target, passed), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _pump(self, source, target, passed):
        said, this_round = b"", self._round
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK):
                if this_round != self._round:
                    said, this_round = b"", self._round
                said += chunk  # A word may come in two pieces.
                if not passed(said):
                    break
                if not (self._swallowing and passed == self._of_server):
                    target.sendall(chunk)
        _close((source, target))

    def _of_client(self, said):
        if self._word is not None and self._word in said:
            self._word = None
            self.cuts += 1
            self._swallowing = self._answered
            self._round += 1
            return self._answered
        return True

    def _of_server(self, said):
        if self._swallowing and self._done in said:
            self._swallowing = False
            self.then()
            return False
        return True


def _close(sockets):
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
