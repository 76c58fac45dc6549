"""What the library finds wrong with a document, one violation for each place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

    from runner.requests.findings import DataPath


_MOST_ERRORS = 1000
"""Maximum number of the library's errors per document, which bounds the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A demand of the schema that a document does not meet."""

    path: DataPath
    """The place of the value; for a missing key, of the mapping that lacks it."""
    keyword: str
    """The keyword of the schema; `not` for a key that is not allowed here."""
    expected: Any
    """The value of the keyword; for `required` and `dependencies`, the missing key."""
    schema: Mapping[str, Any]
    """The part of the schema that has the keyword."""
    value: Any
    """The value at the place; for `propertyNames`, the key."""


def violations_in(data: Any, validator: Validator) -> list[Violation]:
    """Return the violations, in the order of the document.

    The library itself follows the order of the schema, and for free keys no order.
    """
    errors = islice(validator.iter_errors(data), _MOST_ERRORS)
    found = [violation for error in errors for violation in _violations_of(error)]
    return sorted(found, key=_Order(data).place) if len(found) > 1 else found


def _violations_of(error: ValidationError) -> Iterator[Violation]:
    """Yield the violations behind an error; some of the library's errors are about several keys."""
    path: DataPath = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    expected: Any = error.validator_value
    keyword, value = error.validator, cast("Any", error.instance)
    places = [(path, expected)]
    if keyword == "additionalProperties":
        known = schema.get("properties", {})
        places = [((*path, key), expected) for key in value if key not in known]
    elif keyword == "required":
        places = [(path, key) for key in expected if key not in value]
    elif keyword == "dependencies":
        places = [
            ((*path, key), needed)
            for key in value
            if isinstance(expected.get(key), list)
            for needed in expected[key]
            if needed not in value
        ]
    elif "propertyNames" in list(error.absolute_schema_path)[-2:-1]:
        keyword, places = "propertyNames", [((*path, value), expected)]
    for place, demand in places:
        yield Violation(
            path=place, keyword=str(keyword), expected=demand, schema=schema, value=value
        )


class _Order:
    """The order of the places of a document."""

    def __init__(self, data: object) -> None:
        self._data = data
        self._ranks: dict[int, dict[str | int, int]] = {}

    def place(self, violation: Violation) -> tuple[int, ...]:
        """Return a place's rank in each of its containers."""
        at: Any = self._data
        ranks = []
        for part in violation.path:
            ranks.append(part if isinstance(part, int) else self._ranks_in(at)[part])
            at = at[part]
        return tuple(ranks)

    def _ranks_in(self, mapping: dict[str | int, object]) -> dict[str | int, int]:
        if id(mapping) not in self._ranks:
            self._ranks[id(mapping)] = {key: rank for rank, key in enumerate(mapping)}
        return self._ranks[id(mapping)]
