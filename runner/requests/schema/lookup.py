"""What the schema says of a place in a document, of its keys and of whom they belong to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.requests.findings import DataPath


def alternatives_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for choice in schema.get("anyOf", ()) for key in choice["required"])


def below(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = schema.get("properties", schema.get("else", {}).get("properties", {})).get(key, {})
    return found if isinstance(found, dict) else {}


def schema_at(root: Mapping[str, Any], path: DataPath) -> Mapping[str, Any]:
    """Return the subschema of a path; of an alternative, the one for mappings."""
    schema = root
    for part in path:
        schema = _entry(schema, root) if isinstance(part, int) else below(schema, part)
    return schema if "properties" in schema else schema.get("else", schema)


def _entry(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the subschema of a list's entries: those of members refer to that of a process."""
    items: Mapping[str, Any] = schema.get("items", {})
    for each in items.get("allOf", ()):
        if "$ref" in each:
            return schema_at(root, (each["$ref"].removeprefix("#/properties/"),))
    return items


def owners_of(root: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the frequencies to which a key of a schedule belongs: those whose branch
    does not forbid it.
    """
    for branch in schema_at(root, ("timing", "schedule"))["allOf"]:
        condition = branch["if"]["properties"]["frequency"]
        if branch["then"]["properties"].get(key) is not False:
            yield from condition.get("enum", [condition.get("const")])


_MAPPINGS: tuple[tuple[str, ...], ...] = (
    (),
    ("process",),
    ("timing",),
    ("timing", "run_later"),
    ("timing", "schedule"),
)


def homes_of(root: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the mappings that have a key, as dotted paths."""
    having = (path for path in _MAPPINGS if key in schema_at(root, path).get("properties", {}))
    return tuple(f"`{'.'.join(path)}`" if path else "the request itself" for path in having)


def above(root: Mapping[str, Any], path: DataPath) -> Mapping[str, Any]:
    """Return what the schema says of a path itself, not of one of its alternatives or branches."""
    return below(schema_at(root, path[:-1]), str(path[-1])) if path else root


def is_of_requests(root: Mapping[str, Any]) -> bool:
    """Tell whether a schema is that of requests, not of defaults or settings, which
    have but a part of its keys.
    """
    return "formerly" in root["properties"]
