"""Rows of the store as PostgreSQL takes and gives them. Pure.

Any number of rows goes into one statement, as one JSON text: that is the fastest way for
ten thousand rows, and no slower than any other for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar

from runner.store.postgres.content.texts import to_sql, to_text
from runner.store.rows import (
    AlertRow,
    CommandRow,
    CommandStatus,
    ExecutionRow,
    Phase,
    RequestRow,
    ResultRow,
)

Row = TypeVar("Row", bound=RequestRow | ExecutionRow | CommandRow | ResultRow | AlertRow)
_ENUMS: dict[str, dict[str, type[StrEnum]]] = {
    "executions": {"phase": Phase},
    "commands": {"status": CommandStatus},
}
_MAY_BE_UNFIT = re.compile(r"\\u00(?:00|10)|[\ud800-\udfff]")
"""What JSON has for a character that `texts` escapes, and for some others."""


def rows_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as JSON for PostgreSQL. Texts that it cannot hold are escaped."""
    text = json.dumps(rows, ensure_ascii=False)
    if not _MAY_BE_UNFIT.search(text):
        return text
    return json.dumps([_escaped(row) for row in rows], ensure_ascii=False)


def _escaped(row: dict[str, Any]) -> dict[str, Any]:
    return {key: to_sql(value) if isinstance(value, str) else value for key, value in row.items()}


def texts_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values of a row with its texts as they were."""
    return tuple(to_text(value) if isinstance(value, str) else value for value in values)


class Table(Generic[Row]):
    """A table whose columns are the fields of a row, and those of `copies`."""

    def __init__(
        self,
        name: str,
        row: type[Row],
        *,
        key: Sequence[str],
        without: Sequence[str] = (),
        copies: Sequence[str] = (),
    ) -> None:
        """`without` are fields that another table holds."""
        self._row = row
        self._fields = row._fields
        self._enums = _ENUMS.get(name, {})
        own = [*(field for field in self._fields if field not in without), *copies]
        columns = ", ".join(own)
        changes = ", ".join(f"{each} = excluded.{each}" for each in own if each not in key)
        self.select = f"SELECT {', '.join(self._fields)} FROM {name}"
        self.insert = (
            f"INSERT INTO {name} ({columns})"
            f" SELECT {columns} FROM json_populate_recordset(NULL::{name}, %s::json)"
        )
        self.upsert = f"{self.insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"

    def text(self, rows: Iterable[Row]) -> str:
        """Return rows as the parameter of `insert` or `upsert`."""
        return rows_text([row._asdict() for row in rows])

    def to_row(self, values: Iterable[Any]) -> Row:
        """Return the row for a result of `select`."""
        named = dict(zip(self._fields, texts_of(values), strict=True))
        for column, enum in self._enums.items():
            named[column] = enum(named[column])
        return self._row(**named)


REQUESTS = Table(
    "requests", RequestRow, key=["name"], without=["definition"],
    copies=["status", "next_fire", "next_due", "backfill"],
)  # fmt: skip
EXECUTIONS = Table("executions", ExecutionRow, key=["id"])
COMMANDS = Table("commands", CommandRow, key=["id"])
RESULTS = Table("results", ResultRow, key=["execution"])
ALERTS = Table("alerts", AlertRow, key=["request", "check_name"])


def requests_text(rows: Iterable[RequestRow]) -> str:
    """Return rows of requests as the parameter of `REQUESTS.upsert`, with their copies."""
    return rows_text([row._asdict() | _copies_of(row.state) for row in rows])


def _copies_of(state: str) -> dict[str, Any]:
    """Return the values of a state that have columns; None for what it has not."""
    try:
        content = json.loads(state)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = {}
    fire, due = None, None
    match content.get("coming"):
        case [int() as next_fire, int() as next_due]:
            fire, due = next_fire, next_due
    status, backfill = content.get("status"), content.get("backfill")
    return {
        "status": status if isinstance(status, str) else None,
        "next_fire": fire,
        "next_due": due,
        "backfill": None if backfill is None else json.dumps(backfill, separators=(",", ":")),
    }
