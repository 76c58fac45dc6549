"""The schemas and examples that are shipped with the program. Reads files.

In the wheel they lie inside the package; in a source checkout, and so in an editable install, beside it.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError

_PACKAGE = Path(__file__).parent


def schemas_folder() -> Path:
    """Return the folder of the `*.schema.json` files."""
    return _shipped("schemas", "schemas")


def examples_folder() -> Path:
    """Return the jobs folder that `runner init` copies."""
    return _shipped("examples", "jobs.d")


def schema_names() -> tuple[str, ...]:
    """Return the names of the shipped schemas, sorted: "process-request" for process-request.schema.json."""
    return tuple(sorted(path.name.removesuffix(".schema.json") for path in schemas_folder().glob("*.schema.json")))


def schema_text(name: str) -> str:
    """Return the JSON text of the schema `name`. Raises UsageError if there is none."""
    names = schema_names()
    if name not in names:
        raise UsageError(f"there is no schema {name!r}; there are {', '.join(names)}")
    return (schemas_folder() / f"{name}.schema.json").read_text(encoding="utf-8")


def _shipped(inside: str, beside: str) -> Path:
    packed = _PACKAGE / inside
    return packed if packed.is_dir() else _PACKAGE.parent / beside
