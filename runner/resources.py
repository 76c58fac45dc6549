"""The schemas, examples and documents that ship with the program. Reads files; may run git.

In a wheel they are inside the package. In a source checkout, and so in an editable
install, they are beside it.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError

DOCUMENTS = (
    "README.md",
    "jobs.d/README.md",
    "schemas/README.md",
    "runner/README.md",
    "runner/importing/README.md",
    "tests/README.md",
    "CHANGELOG.md",
)
"""The documentation, as paths in the repository."""

_PACKAGE = Path(__file__).parent
_GIT_PATIENCE_S = 10.0


def schemas_folder() -> Path:
    """Return the folder of the `*.schema.json` files."""
    return _shipped("schemas", "schemas")


def examples_folder() -> Path:
    """Return the jobs folder that `runner init` copies."""
    return _shipped("examples", "jobs.d")


def example_files() -> tuple[Path, ...]:
    """Return the example requests that `runner init` copies, sorted.

    In a source checkout these are the files that git tracks, because developers may keep
    requests of their own beside them.
    """
    files = sorted(examples_folder().glob("*.yaml"))
    tracked = _tracked(examples_folder()) if (_PACKAGE.parent / ".git").exists() else None
    return tuple(path for path in files if tracked is None or path.name in tracked)


def schema_files() -> tuple[Path, ...]:
    """Return the shipped schemas, sorted."""
    return tuple(sorted(schemas_folder().glob("*.schema.json")))


def schema_names() -> tuple[str, ...]:
    """Return the names of the shipped schemas, sorted.

    The name of process-request.schema.json is "process-request".
    """
    return tuple(path.name.removesuffix(".schema.json") for path in schema_files())


def schema_text(name: str) -> str:
    """Return the JSON text of the schema `name`. Raises UsageError if there is none."""
    names = schema_names()
    if name not in names:
        raise UsageError(f"there is no schema {name!r}; there are {', '.join(names)}")
    return (schemas_folder() / f"{name}.schema.json").read_text(encoding="utf-8")


def document_text(path: str) -> str:
    """Return the text of one of `DOCUMENTS`."""
    packed = _PACKAGE / "documentation" / path
    return (packed if packed.is_file() else _PACKAGE.parent / path).read_text(encoding="utf-8")


def _tracked(folder: Path) -> frozenset[str] | None:
    """Return the names of the tracked files in a folder; None if git cannot answer."""
    import subprocess

    try:
        listed = subprocess.run(
            ["git", "-C", folder, "ls-files", "-z", "--", "."],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return frozenset(listed.stdout.decode(errors="surrogateescape").split("\0")) - {""}


def _shipped(inside: str, beside: str) -> Path:
    packed = _PACKAGE / inside
    return packed if packed.is_dir() else _PACKAGE.parent / beside
