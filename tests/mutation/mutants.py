"""Every small change to a module that mutmut's operators can think of, as text.  Pure.

mutmut knows the operators; which code they are let loose on is said here, because mutmut leaves out
decorated functions (half of the handlers), and what is run once at import: tables, prices, limits.
"""

import ast
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

# Wrong answers from these are mistakes of the test's reading, not of the code's.
LEFT_ALONE = {"len", "isinstance", "TypeVar", "NewType", "Annotated", "cast"}


class Mutant(NamedTuple):
    """One change: `before` at `start`…`end` (offsets in the module's text) becomes `after`.

    `late`: it is read each time its function runs, not once at import.
    """

    name: str
    path: str
    line: int
    start: int
    end: int
    before: str
    after: str
    late: bool


def mutants_of(path, source, wanted=lambda _: True):
    """All mutants of a module, in the order of its text; `wanted` chooses by name.

    A name is the module, the line and a number.
    """
    wrapper = MetadataWrapper(cst.parse_module(source))
    finder = _Finder(wrapper.module)
    wrapper.visit(finder)
    offsets = _line_offsets(source)
    module = module_of(path)
    found = []
    for number, (place, before, after, late) in enumerate(finder.found, 1):
        start = offsets[place.start.line - 1] + place.start.column
        end = offsets[place.end.line - 1] + place.end.column
        name = f"{module}:{place.start.line}:{number}"
        mutant = Mutant(name, path, place.start.line, start, end, before, after, late)
        if wanted(name) and source[start:end] != after and _is_python(mutated(source, mutant)):
            found.append(mutant)
    return found


def module_of(path):
    """The dotted name of a file."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def mutated(source, mutant):
    """The module's text with the change in it."""
    return source[: mutant.start] + mutant.after + source[mutant.end :]


def shown(mutant):
    """The change on one line, for people."""
    before, after = (" ".join(text.split()) for text in (mutant.before, mutant.after))
    return f"{before}  ->  {after}"


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module):
        super().__init__()
        self.found = []
        self._module = module
        self._functions = 0

    def on_visit(self, node):
        if _is_left_alone(node):
            return False
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self._note(node, operator(node))
        if isinstance(node, cst.FunctionDef | cst.Lambda):
            # What stands in the head is read where it stands.
            node.params.visit(self)
            self._functions += 1
            node.body.visit(self)
            self._functions -= 1
            return False
        return True

    def _note(self, node, changed):
        place = self.get_metadata(PositionProvider, node)
        before = self._module.code_for_node(node)
        for other in changed:
            after = self._module.code_for_node(other)
            self.found.append((place, before, after, self._functions > 0))


def _is_left_alone(node):
    if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
        return True
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString):
        return True  # A docstring.
    if isinstance(node, cst.Subscript | cst.Call):
        name = node.value if isinstance(node, cst.Subscript) else node.func
        return isinstance(name, cst.Name) and name.value in LEFT_ALONE
    return False


def _is_python(source):
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _line_offsets(source):
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return offsets
