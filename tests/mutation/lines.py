"""Which lines of a file stand for one line's statement, for asking who runs it.  Pure."""

import ast
from functools import lru_cache


def lines_of_statement(source, line):
    """The lines of the innermost statement at `line`; of `if`, `for`, `def` only their heads.

    A statement over many lines is reported by the interpreter at some of them only.
    """
    smallest = range(line, line + 1)
    for first, last in _statements(source):
        if first <= line <= last and (len(smallest) == 1 or last - first < len(smallest)):
            smallest = range(first, last + 1)
    return smallest


@lru_cache(8)
def _statements(source):
    """First and last line of every statement, outer ones before inner ones."""
    return [
        (_first(node), _last(node))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt | ast.match_case)
    ]


def _first(node):
    return node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno


def _last(node):
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body or isinstance(node, ast.Expr):
        return node.end_lineno
    return max(_first(node), _first(body[0]) - 1)
