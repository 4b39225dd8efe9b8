"""Put a mutant into the running program: its code into every living function made of the old one.

Decorated, imported from elsewhere, already in a table: a function is the same object everywhere,
and does what its `__code__` says.  So nothing is written, and nothing is imported again.
"""

import ast
import gc
from collections import Counter, defaultdict
from functools import _lru_cache_wrapper, cache
from types import CodeType, FunctionType


class NotSwapped(Exception):
    """What differs is no living function's, or has other variables from around it."""


def living_functions(paths):
    """All functions whose code is of these files, by file, name and line."""
    living = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in paths:
            living[_place(each.__code__)].append(each)
    return living


def living_caches(paths):
    """All `lru_cache`s around functions of these files, or of tests: what they keep is old."""
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, _lru_cache_wrapper) and each.__wrapped__.__code__.co_filename in paths
    ]


def swap_in(path, old_source, new_source, living):
    """Make every living function of `path` do what the new source says.

    What is only read at import (constants, defaults, tables) stays as it was.

    Returns:
        The places (file, name, line) of the functions that do something else now; none: both texts
        mean the same.

    Raises:
        NotSwapped: Something differs, and nothing could be changed.
    """
    old_part, new_part = _differing_part(old_source, new_source)
    new_codes = _codes(path, new_part)
    differing, swapped = False, []
    for key, old in _codes(path, old_part).items():
        new = new_codes.get(key)
        if old.co_name == "<module>" or (new is not None and _bare(new) == _bare(old)):
            continue
        differing = True
        # A function that is gone lived in one that differs.
        for function in living.get(_place(old), ()) if new is not None else ():
            if function.__code__.co_freevars == new.co_freevars:
                function.__code__ = new
                # What made it only holds the new code of it.
                if _own(new) != _own(old):
                    swapped.append(_place(old))
    if differing and not swapped:
        raise NotSwapped(path)
    return swapped


def _differing_part(old_source, new_source):
    """Of both texts only the top-level statement that differs, at its lines.

    A whole module takes longer to compile than most of its tests to run.
    """
    old_lines, new_lines = old_source.split("\n"), new_source.split("\n")
    same = next(
        (at for at, (a, b) in enumerate(zip(old_lines, new_lines, strict=False)) if a != b),
        min(len(old_lines), len(new_lines)),
    )
    first, last = next(
        ((first, last) for first, last in top_level(old_source) if first <= same + 1 <= last),
        (1, len(old_lines)),
    )
    new_last = last + len(new_lines) - len(old_lines)
    blank = [""] * (first - 1)
    return (
        "\n".join([*blank, *old_lines[first - 1 : last]]),
        "\n".join([*blank, *new_lines[first - 1 : new_last]]),
    )


@cache
def top_level(source):
    """First and last line of each top-level statement, decorators included."""
    return [
        (
            min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]),
            node.end_lineno,
        )
        for node in ast.parse(source).body
    ]


def _bare(code):
    """The code without what only says where it stands in the text."""
    consts = tuple(_bare(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_linetable=b"", co_firstlineno=0, co_consts=consts)


def _own(code):
    """The code without where it stands, and without the functions in it."""
    consts = tuple(None if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_linetable=b"", co_firstlineno=0, co_consts=consts)


def _place(code):
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(path, source):
    """All code of a module by name, and which of that name it is: lambdas share one."""
    found = {}
    counted: Counter[str] = Counter()
    waiting = [compile(source, path, "exec", dont_inherit=True)]
    while waiting:
        code = waiting.pop(0)
        found[code.co_qualname, counted[code.co_qualname]] = code
        counted[code.co_qualname] += 1
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
    return found
