"""Values out of a fuzzer's bytes, bite by bite; when the bytes are eaten up, the smallest of each.

The same bytes give the same values always: what was found once is found again.
"""


class Bites:
    """Eats bytes from the front."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    @property
    def left(self):
        """Whether there are any more."""
        return self._at < len(self._data)

    def octets(self, count):
        """So many bytes, or what is left."""
        bite = self._data[self._at : self._at + count]
        self._at += len(bite)
        return bite

    def uint(self, size=1):
        """A number of so many bytes."""
        return int.from_bytes(self.octets(size), "big")

    def below(self, limit):
        """A number from 0 up, below a limit of 256 at most."""
        return self.uint() % limit

    def flag(self):
        return self.uint() % 2 == 1

    def one_of(self, choices):
        """One of a sequence."""
        return choices[self.below(len(choices))]

    def some(self):
        """Bytes that say first how many they are, 255 at most."""
        return self.octets(self.uint())

    def many(self):
        """The same, up to 64 KiB."""
        return self.octets(self.uint(2))

    def text(self):
        """A short text: any but half a surrogate pair, which no decoder of telcod lets in."""
        return self.some().decode(errors="replace")

    def rest(self):
        """All that is left."""
        return self.octets(len(self._data))

    def rest_text(self):
        return self.rest().decode(errors="replace")


def cut(data, bites):
    """Data in pieces whose sizes the bites say; the last piece is what is left."""
    pieces = []
    while data and bites.left:
        size = bites.uint() + 1
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data] if data else pieces


def check_words(words):
    """What is told of a mistake: there is something, and it can be shown and kept."""
    assert words.strip()
    words.encode()
    assert "Traceback" not in words
