"""Measures how readable the code is: `python tests/measures.py [FOLDER ...]`.

Each folder is a source tree with `runner` and `tests`, for example the work tree of an
earlier commit; the default is this one. Prints a Markdown table with a column for each
folder, which tests/README.md shows. Reads files.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median, quantiles

_REPEATED = 6
"""A repetition is this many equal lines in a row, without blank lines and imports."""


def measures(top: Path) -> dict[str, str]:
    """Return the measures of a source tree by their names."""
    sources = {
        path: path.read_text()
        for path in sorted((top / "runner").rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    trees = {path: ast.parse(source) for path, source in sources.items()}
    lines = [line for source in sources.values() for line in source.splitlines()]
    lengths = sorted(_function_lengths(trees.values()))
    public = [each for tree in trees.values() for each in _public_names(tree)]
    written = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    code = len(written) - sum(_docstring_lines(tree) for tree in trees.values())
    comments = [line for line in lines if line.lstrip().startswith("#")]
    tests = [path.read_text() for path in (top / "tests").rglob("*.py")]
    modules = Counter(path.parent for path in sources)
    return {
        "lines of a function: median / p90 / max": (
            f"{median(lengths):.0f} / {quantiles(lengths, n=10)[-1]:.0f} / {lengths[-1]}"
        ),
        "functions over 40 lines": str(sum(length > 40 for length in lengths)),
        "lines of the longest module": str(max(s.count("\n") for s in sources.values())),
        "modules in the largest folder": str(max(modules.values())),
        "public names without a docstring": _percent(public.count(False), len(public)),
        "lines over 88 columns": _percent(sum(len(line) > 88 for line in lines), len(lines)),
        "lines over 100 columns": str(sum(len(line) > 100 for line in lines)),
        "comment lines per line of code": _percent(len(comments), code),
        f"repetitions of {_REPEATED} lines": str(_repetitions(sources.values())),
        "lines of code, without docstrings": f"{code:,}",
        "lines of docstrings": f"{len(written) - code:,}",
        "lines of the tests": f"{sum(source.count(chr(10)) for source in tests):,}",
    }


def _function_lengths(trees: Iterable[ast.Module]) -> Iterator[int]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(tree: ast.Module) -> int:
    """Count the lines of text that stand alone as a statement, without blank lines."""
    return sum(
        sum(bool(line.strip()) for line in str(node.value.value).splitlines())
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _public_names(tree: ast.Module) -> Iterator[bool]:
    """Yield, for each public function, class and method, whether it has a docstring."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for body in [tree.body, *(each.body for each in classes)]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield ast.get_docstring(node) is not None


def _repetitions(sources: Iterable[str]) -> int:
    """Count the places that repeat earlier lines; a longer repetition counts once."""
    seen: set[tuple[str, ...]] = set()
    found = 0
    for source in sources:
        lines = [line.strip() for line in source.splitlines()]
        lines = [line for line in lines if line and not line.startswith(("import ", "from "))]
        was_repeated = False
        for index in range(len(lines) - _REPEATED + 1):
            block = tuple(lines[index : index + _REPEATED])
            is_repeated = block in seen and len("".join(block)) > 60
            found += is_repeated and not was_repeated
            was_repeated = is_repeated
            seen.add(block)
    return found


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def main(folders: list[str]) -> None:
    """Print the table."""
    columns = [measures(Path(folder)) for folder in folders or [str(Path(__file__).parents[1])]]
    print("| measure |" + " |" * len(columns))
    print("|---|" + "---|" * len(columns))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
