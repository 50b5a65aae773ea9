"""Do the tests of `policies/` notice when the code is wrong? Change one thing at a time, and see.

    python tests/mutation.py                       every module, about an hour on one core
    python tests/mutation.py --only access lint    some modules
    python tests/mutation.py --sample 200          some of the changes, chosen by --seed
    python tests/mutation.py --again report.txt    those that lived in a former report, to see them die

A change is a comparison, a constant, an `and`, a `not`, a returned value, a step of a loop ... and is alive when all
tests of tests/policies pass with it. Some changes make no difference that anyone could see: not every one that lives
is a hole. Exit status 1 where more than one in ten lives. Works on a copy, in one process after the other; a change
that makes the tests run on and on is ended after a minute of processor time, and counts as noticed.
"""

import argparse
import ast
import collections
import contextlib
import copy
import dataclasses
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import boto3  # noqa: F401 # this and the next: so that the children need not import it again
import hypothesis  # noqa: F401
import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
TESTS: Final = "tests/policies"
MOST_ALIVE: Final = 0.1
CPU_SECONDS: Final = 60
# Modules that are tested above all under another one's name.
NEAREST: Final = {
    "callers": ("access",),
    "statements": ("statements", "access"),
    "operators": ("operators", "variables"),
    "values": ("values", "documents"),
    "conditions": ("documents",),
    "principals": ("principals", "documents"),
    "elements": ("documents",),
    "lifecycle": ("lifecycle_cases", "lifecycle_reasons", "lifecycle"),
    "lifecycle_claims": ("lifecycle_cases", "lifecycle_reasons", "lifecycle"),
    "lifecycle_ties": ("lifecycle_cases", "lifecycle"),
}
# Modules that no other tests reach than those that are named like them.
APART: Final = ("lifecycle",)

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
NAMES: Final = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "startswith": "endswith",
    "endswith": "startswith",
    "partition": "rpartition",
    "rpartition": "partition",
    "removeprefix": "removesuffix",
    "removesuffix": "removeprefix",
    "lower": "upper",
    "casefold": "upper",
    "fullmatch": "match",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module with one change in it."""

    module: str
    line: int
    what: str
    source: str

    def __str__(self) -> str:
        return f"policies/{self.module}.py:{self.line}  {self.what}"


# --- changes ----------------------------------------------------------------------------------------------------------


def mutants(path: Path) -> Iterator[Mutant]:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    skipped = _documentation(tree)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "bases"):
                continue
            children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, node in children:
                if isinstance(node, ast.AST) and id(node) not in skipped:
                    for changed in _changes(node):
                        yield _with(path, tree, parent, field, index, changed)


def _documentation(tree: ast.Module) -> set[int]:
    """What is no code: docstrings, and everything within annotations, names of types and decorators."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node, node.value]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, node.args, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts = [*node.decorator_list]
        elif isinstance(node, ast.Assign) and (
            ast.unparse(node.value).startswith(("Literal", "tuple[", "Callable"))
            or ast.unparse(node.targets[0]) in ("__slots__", "__all__")
        ):
            parts = [node.value]
        elif isinstance(node, ast.Assert | ast.Import | ast.ImportFrom):
            parts = [node]
        found |= {id(each) for part in parts if part is not None for each in ast.walk(part)}
    return found


def _with(path: Path, tree: ast.Module, parent: ast.AST, field: str, index: int | None, changed: ast.AST) -> Mutant:
    before = getattr(parent, field)
    old = before if index is None else before[index]
    after = changed if index is None else [*before[:index], changed, *before[index + 1 :]]
    setattr(parent, field, after)
    try:
        source = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
    finally:
        setattr(parent, field, before)
    what = f"{ast.unparse(old)[:70]!r} -> {ast.unparse(changed)[:70]!r}"
    return Mutant(module=path.stem, line=getattr(old, "lineno", 0), what=what, source=source)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    yield from _other_expressions(node)
    yield from _other_steps(node)


def _other_expressions(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]):
            for other in COMPARISONS[type(operator)]:
                yield _replaced(node, ops=[other()])
        case ast.Compare(ops=operators):
            for place, operator in enumerate(operators):
                other = COMPARISONS[type(operator)][0]
                yield _replaced(node, ops=[*operators[:place], other(), *operators[place + 1 :]])
        case ast.BoolOp(op=operator, values=values):
            yield _replaced(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for place in range(len(values)):
                left = [*values[:place], *values[place + 1 :]]
                yield _replaced(node, values=left) if len(left) > 1 else left[0]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) if type(operator) in ARITHMETIC:
            yield _replaced(node, op=ARITHMETIC[type(operator)]())
        case ast.Constant():
            yield from (_replaced(node, value=value) for value in _other_values(node.value))
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield _replaced(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield _replaced(node, attr=NAMES[name])


def _other_steps(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.AugAssign(target=target, value=value):
            yield ast.Assign(targets=[target], value=value, lineno=node.lineno)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield _replaced(node, test=ast.UnaryOp(op=ast.Not(), operand=test))
        case ast.comprehension(ifs=[_, *_]):
            yield _replaced(node, ifs=[])
        case ast.Return(value=ast.AST() as value) if not _is_none(value):
            yield _replaced(node, value=ast.Constant(value=None))
        case ast.Raise() | ast.Expr(value=ast.Yield() | ast.YieldFrom() | ast.Call()):
            yield ast.Pass(lineno=node.lineno)
        case ast.Continue():
            yield ast.Break(lineno=node.lineno)
        case ast.Break():
            yield ast.Pass(lineno=node.lineno)


def _replaced(node: ast.AST, **fields: object) -> ast.AST:
    found = copy.copy(node)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def _other_values(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return ["mutant"] if value != "" else ["x"]
    return []


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


# --- runs -------------------------------------------------------------------------------------------------------------


def is_alive(mutant: Mutant, place: Path) -> bool:
    target = place / "policies" / f"{mutant.module}.py"
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source, encoding="utf-8")
    near, far = _files(mutant.module, place)
    try:
        return _passes(near, place) and _passes(far, place)
    finally:
        target.write_text(original, encoding="utf-8")


def _files(module: str, place: Path) -> tuple[list[str], list[str]]:
    """The tests most likely to notice, and the others."""
    names = [f"test_{name}.py" for name in NEAREST.get(module, (module,))]
    apart = next((name for name in APART if module.startswith(name)), "")
    every = sorted(path.name for path in (place / TESTS).glob(f"test_{apart}*.py"))
    near = [name for name in names if name in every]
    return [f"{TESTS}/{name}" for name in near], [f"{TESTS}/{name}" for name in every if name not in near]


def _passes(files: list[str], place: Path, *, first: bool = False) -> bool:
    """Whether the tests pass, in a process of their own. The first run leaves the tests compiled for all others; what
    is compiled of a change must not be found again."""
    if not files:
        return True
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = not first
        _run_and_leave(files, place)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _run_and_leave(files: list[str], place: Path) -> None:
    status = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        signal.alarm(CPU_SECONDS * 10)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        os.chdir(place)
        sys.path.insert(0, str(place))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(place), "-c", str(place / "pyproject.toml")]
        preloaded = "ignore::pytest.PytestAssertRewriteWarning"
        status = int(pytest.main([*options, "-W", preloaded, *files]))
        import policies

        if not (policies.__file__ or "").startswith(str(place)):
            status = 71
    finally:
        os._exit(status)


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A copy of what the tests need."""
    place = Path(tempfile.mkdtemp(prefix="longshore-mutation-"))
    try:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "policies", place / "policies", ignore=ignored)
        shutil.copytree(ROOT / TESTS, place / TESTS, ignore=ignored)
        for path in (ROOT / "tests").glob("*.py"):
            shutil.copy(path, place / "tests")
        shutil.copy(ROOT / "pyproject.toml", place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main() -> int:
    given = _arguments()
    paths = [path for path in sorted((ROOT / "policies").glob("*.py")) if path.stem != "__init__"]
    chosen = [mutant for path in paths if path.stem in (given.only or [path.stem]) for mutant in mutants(path)]
    if given.again:
        lived = given.again.read_text(encoding="utf-8").splitlines()
        chosen = [
            mutant
            for mutant in chosen
            if any(line.startswith(f"alive  policies/{mutant.module}.py:") and mutant.what in line for line in lived)
        ]
    if given.sample:
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
    counts: collections.Counter[str] = collections.Counter()
    alive: collections.Counter[str] = collections.Counter()
    with copied() as place:
        asked = {mutant.module for mutant in chosen}
        every = {path for module in asked for files in _files(module, place) for path in files}
        if not _passes(sorted(every), place, first=True):
            print("the tests do not pass without any change")
            return 1
        for mutant in chosen:
            counts[mutant.module] += 1
            if is_alive(mutant, place):
                alive[mutant.module] += 1
                print(f"alive  {mutant}", flush=True)
    for module in sorted(counts):
        print(f"{module:<12} {alive[module]:>4} of {counts[module]:>4} alive")
    share = alive.total() / max(counts.total(), 1)
    print(f"{'all':<12} {alive.total():>4} of {counts.total():>4} alive ({share:.1%})")
    return int(share > MOST_ALIVE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="MODULE", help="modules of policies/, without .py")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many of the changes, not all")
    parser.add_argument("--again", type=Path, metavar="REPORT", help="only those that lived in this report")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
