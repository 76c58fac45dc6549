"""Keys that the schema has and this version does not carry out yet: refused, never silently ignored. Pure.

Delete a line when its behaviour is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.requests.findings import DataPath, Finding, plain, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING: frozenset[str] = frozenset()

SUPPORTED_VALUES: dict[str, frozenset[str]] = {
    "formerly": NOTHING,
    "on_failure": NOTHING,
    "process.python": NOTHING,
    "process.group": NOTHING,
    "process.environment_file": NOTHING,
    "process.secrets": NOTHING,
    "process.params": NOTHING,
    "process.stdin": NOTHING,
    "process.run_as": NOTHING,
    "process.umask": NOTHING,
    "process.nice": NOTHING,
    "process.limits": NOTHING,
    "process.on_overlap": frozenset({"refuse"}),
    "process.success": NOTHING,
    "process.retry": NOTHING,
    "process.output_limit": NOTHING,
    "process.if_interrupted": frozenset({"record"}),
}
"""By dotted path: the values that are built; of every other value, and of a whole key, it is said that it is not."""

_BY_PATH = {tuple(dotted.split(".")): values for dotted, values in SUPPORTED_VALUES.items()}
_PARENTS = frozenset(path[:-1] for path in _BY_PATH)


def unsupported_in(data: object) -> Iterator[Finding]:
    """Yield a finding for each key (or value of it) of a document that is not built yet."""
    for parent in _PARENTS:
        mapping = value_at(data, parent)
        if isinstance(mapping, dict):
            for key, value in mapping.items():
                path = (*parent, key)
                if path in _BY_PATH:
                    yield from _refusal(path, value, _BY_PATH[path])


def _refusal(path: DataPath, value: object, built: frozenset[str]) -> Iterator[Finding]:
    if not built:
        yield Finding(path=path, message=f"`{path[-1]}` is not supported yet", at_key=True)
    elif isinstance(value, str) and value not in built and len(value) < 20:
        message = f"`{path[-1]}: {plain(value)}` is not supported yet"
        yield Finding(path=path, message=message, suggestion=f"only {', '.join(sorted(built))} is")
