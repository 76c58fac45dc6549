"""What the schema says about a place in a document: its keys and the owners of keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.requests.findings import DataPath


def alternatives_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of which a mapping needs one."""
    return tuple(key for choice in schema.get("anyOf", ()) for key in choice["required"])


def below(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the subschema of a key, or of any key of a map; empty if there is none."""
    keys = schema.get("properties", schema.get("else", {}).get("properties", {}))
    found = keys.get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def schema_at(root: Mapping[str, Any], path: DataPath) -> Mapping[str, Any]:
    """Return the subschema at a path; among alternatives, the one for mappings."""
    schema = root
    for part in path:
        schema = _entry(schema, root) if isinstance(part, int) else below(schema, part)
    return schema if "properties" in schema else schema.get("else", schema)


def _entry(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the subschema of a list's entries.

    The schema of group members refers to the schema of a process.
    """
    items: Mapping[str, Any] = schema.get("items", {})
    for each in items.get("allOf", ()):
        if "$ref" in each:
            return schema_at(root, (each["$ref"].removeprefix("#/properties/"),))
    return items


def owners_of(root: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield the frequencies that allow a key of a schedule."""
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
    ("retention",),
    ("expect",),
    ("outputs",),
)


def homes_of(root: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the mappings that have a key, as dotted paths."""
    having = (
        path
        for path in _MAPPINGS
        if key in schema_at(root, path).get("properties", {})
        and (path or "process" in root["properties"])  # the settings are no request
    )
    return tuple(f"`{'.'.join(path)}`" if path else "the request itself" for path in having)


def above(root: Mapping[str, Any], path: DataPath) -> Mapping[str, Any]:
    """Return what the schema says about a path as a whole, without its branches."""
    return below(schema_at(root, path[:-1]), str(path[-1])) if path else root


def is_of_requests(root: Mapping[str, Any]) -> bool:
    """Report whether a schema is the schema of requests.

    The schemas of defaults and settings have only some of its keys.
    """
    return "formerly" in root["properties"]
