"""Whether a document satisfies the schema, decided fast: nearly all documents do. Pure.

Each subschema becomes a table from the type of a value to its checks. The table only
answers yes or no. For a no, the library explains what is wrong (`violations`), at
fifteen times the cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

Schema = Mapping[str, Any] | bool
Accepts = Callable[[Any], bool]
_Kind = type[Any]

_KINDS: Mapping[str, tuple[_Kind, ...]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_HANDLED_ELSEWHERE = frozenset({"type", "then", "else", "additionalProperties"})
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "examples", "default"}
)


def acceptor(root: Schema) -> Accepts:
    """Return the function that accepts what a schema allows.

    Raises NotImplementedError for an unknown keyword.
    """
    return _Making(root).acceptor(root)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the schema.

    `$` matches only at the very end; Python's own `$` also matches before a final line
    break.
    """
    return re.compile(re.sub(r"\$$", r"\\Z", pattern), re.ASCII)


class _Making:
    """Builds the acceptors of the parts of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._referred: dict[str, Accepts] = {}
        self._made: dict[int, Accepts] = {}

    def acceptor(self, schema: Schema) -> Accepts:
        """Return the acceptor of a part, built once per part."""
        if isinstance(schema, bool):
            return lambda _: schema
        # Built once: a part without a type is visited for each type of value, and so are
        # its own parts.
        if id(schema) not in self._made:
            self._made[id(schema)] = self._new(schema)
        return self._made[id(schema)]

    def _new(self, schema: Mapping[str, Any]) -> Accepts:
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        demands = {kind: tuple(self._demands(schema, kind)) for kind in _kinds(schema)}
        return _of_one_kind(*demands.popitem()) if len(demands) == 1 else _of_kinds(demands)

    def _reference(self, path: str) -> Accepts:
        """Resolve a reference on its first use, because a process refers to itself."""

        def accepts(value: Any) -> bool:
            if path not in self._referred:
                self._referred[path] = self.acceptor(_at(self._root, path))
            return self._referred[path](value)

        return accepts

    def _demands(self, schema: Mapping[str, Any], kind: _Kind) -> Iterator[Accepts]:
        """Yield the checks that a subschema makes of values of one type."""
        if kind is dict and schema.keys() & {"properties", "additionalProperties"}:
            yield self._properties(schema)
        for keyword, demand in schema.items():
            yield from self._demand(keyword, demand, schema, kind)

    def _demand(
        self, keyword: str, demand: Any, schema: Mapping[str, Any], kind: _Kind
    ) -> Iterator[Accepts]:
        match keyword:
            case "allOf":
                yield from map(self.acceptor, demand)
            case "anyOf":
                yield _any_of(tuple(map(self.acceptor, demand)))
            case "if":
                branches = (self.acceptor(schema.get(branch, True)) for branch in ("then", "else"))
                yield _if(self.acceptor(demand), *branches)
            case "dependencies" if kind is dict:
                yield from (
                    _dependency(key, self._dependent(below)) for key, below in demand.items()
                )
            case "propertyNames" if kind is dict:
                yield _each(self.acceptor(demand))
            case "items" if kind is list:
                yield _each(self.acceptor(demand))
            case _ if keyword in _BOUNDS:
                kinds, bound = _BOUNDS[keyword]
                if kind in kinds:
                    yield bound(demand)
            case "properties" | "dependencies" | "propertyNames" | "items":
                return
            case _ if keyword not in _HANDLED_ELSEWHERE | _ANNOTATIONS:
                raise NotImplementedError(keyword)

    def _properties(self, schema: Mapping[str, Any]) -> Accepts:
        """Return the check of a mapping's values.

        With `additionalProperties` one pass over the mapping checks every value.
        """
        known = {key: self.acceptor(below) for key, below in schema.get("properties", {}).items()}
        if "additionalProperties" not in schema:
            return _all_of(
                tuple(_dependency(key, _valued(key, accepts)) for key, accepts in known.items())
            )
        others = self.acceptor(schema["additionalProperties"])

        def accepts(value: Mapping[str, Any]) -> bool:
            for key, below in value.items():  # noqa: SIM110
                if not known.get(key, others)(below):
                    return False
            return True

        return accepts

    def _dependent(self, below: Schema | list[str]) -> Accepts:
        return _required(below) if isinstance(below, list) else self.acceptor(below)


def _kinds(schema: Mapping[str, Any]) -> Iterator[_Kind]:
    # The schema enumerates text only.
    names = schema.get("type", ["string"] if "enum" in schema else list(_KINDS))
    for name in (names,) if isinstance(names, str) else names:
        yield from _KINDS[name]


def _at(root: Any, path: str) -> Schema:
    for part in path.removeprefix("#/").split("/"):
        root = root[part]
    below: Schema = root
    return below


def _all_of(demands: tuple[Accepts, ...]) -> Accepts:
    if len(demands) == 1:
        return demands[0]

    def accepts(value: Any) -> bool:
        for demand in demands:  # noqa: SIM110 (`all` with a generator takes twice the time)
            if not demand(value):
                return False
        return True

    return accepts


def _of_one_kind(kind: _Kind, demands: tuple[Accepts, ...]) -> Accepts:
    if not demands:
        return lambda value: type(value) is kind
    demand = _all_of(demands)
    return lambda value: type(value) is kind and demand(value)


def _of_kinds(demands: Mapping[_Kind, tuple[Accepts, ...]]) -> Accepts:
    by_kind = {kind: _all_of(each) for kind, each in demands.items()}
    return lambda value: type(value) in by_kind and by_kind[type(value)](value)


def _valued(key: str, accepts: Accepts) -> Accepts:
    return lambda value: accepts(value[key])


def _any_of(choices: tuple[Accepts, ...]) -> Accepts:
    return lambda value: any(accepts(value) for accepts in choices)


def _if(condition: Accepts, then: Accepts, otherwise: Accepts) -> Accepts:
    return lambda value: then(value) if condition(value) else otherwise(value)


def _dependency(key: str, demand: Accepts) -> Accepts:
    return lambda value: key not in value or demand(value)


def _each(accepts: Accepts) -> Accepts:
    return lambda values: all(map(accepts, values))


def _required(keys: list[str]) -> Accepts:
    needed = frozenset(keys)
    return lambda value: needed <= value.keys()


def _enum(choices: list[str]) -> Accepts:
    return frozenset(choices).__contains__


def _const(constant: Any) -> Accepts:
    return lambda value: type(value) is type(constant) and bool(value == constant)


def _pattern(pattern: str) -> Accepts:
    search = compiled(pattern).search
    return lambda text: search(text) is not None


def _at_least(least: float) -> Accepts:
    return lambda number: bool(number >= least)


def _at_most(most: float) -> Accepts:
    return lambda number: bool(number <= most)


def _no_shorter(least: int) -> Accepts:
    return lambda value: len(value) >= least


def _no_longer(most: int) -> Accepts:
    return lambda value: len(value) <= most


_ALL_KINDS = tuple(kind for kinds in _KINDS.values() for kind in kinds)
_BOUNDS: Mapping[str, tuple[tuple[_Kind, ...], Callable[[Any], Accepts]]] = {
    "enum": ((str,), _enum),
    "const": (_ALL_KINDS, _const),
    "required": ((dict,), _required),
    "pattern": ((str,), _pattern),
    "minLength": ((str,), _no_shorter),
    "maxLength": ((str,), _no_longer),
    "minItems": ((list,), _no_shorter),
    "maxItems": ((list,), _no_longer),
    "minimum": ((int, float), _at_least),
    "maximum": ((int, float), _at_most),
}
"""For each simple keyword, the types it applies to and the maker of its check."""
