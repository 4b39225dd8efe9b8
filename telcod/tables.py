"""TOML texts to tables, for all that a person configures; no file is opened here.

`tomllib` says what is wrong with a text by `TOMLDecodeError`, but not always: deep nesting ends in
`RecursionError`, a very long number in a bare `ValueError`.  Here everything is told in one way.
"""

import tomllib
from typing import Any, Final

INTEGER_MAX: Final = 2**63 - 1
"""TOML promises 64 bits and no more; what is larger could not even be shown in a complaint."""


def parse(text: str) -> dict[str, Any]:
    """The table that a text holds.

    Raises:
        tomllib.TOMLDecodeError: It is no TOML, is nested too deeply, or has a number that is too
            large; the message says which, without saying of what file.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number that is too long") from None
    if _has_large_integer(table):
        raise tomllib.TOMLDecodeError("it has a whole number of more than 64 bits")
    return table


def _has_large_integer(table: dict[str, Any]) -> bool:
    # Not by recursion: what the parser could just nest would be one level too deep here.
    waiting: list[Any] = [table]
    while waiting:
        match waiting.pop():
            case dict() as inner:
                waiting += inner.values()
            case list() as inner:
                waiting += inner
            case int() as number:
                if not -INTEGER_MAX - 1 <= number <= INTEGER_MAX:
                    return True
            case _:
                pass
    return False
