"""The tables of the store, version by version, and the conversion of rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar

from runner.store.rows import (
    OF_VERSION_1,
    CommandRow,
    CommandStatus,
    ExecutionRow,
    Phase,
    RequestRow,
)

APPLICATION_ID = int.from_bytes(b"RUNR", "big")
MOVED_ID = int.from_bytes(b"RUNM", "big")
"""The application of a store whose content was copied to PostgreSQL."""


def _results_of_version_1(rows: str) -> str:
    """Return the statement that makes results of `rows` (request, status, end as text)."""
    # strftime would round a fraction of a second up.
    ended = "strftime('%s', substr(at, 1, 19)) * 1000000 + CAST(substr(at, 21, 6) AS INTEGER)"
    return f"""INSERT OR IGNORE INTO results
        SELECT '{OF_VERSION_1}' || request, request, 'process_scheduler', status, NULL, ended,
            1, NULL, ended, 0
        FROM (SELECT request, status, {ended} AS ended
            FROM (SELECT NULL AS request, NULL AS status, NULL AS at WHERE 0
                UNION ALL {rows}))
        WHERE ended NOT NULL"""


# Step n brings a store of version n to version n + 1. A released step never changes; a
# correction is a further step.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # A file's number has 64 bits without a sign, and SQLite's integers have a sign: so text.
        "CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1),"
        " file TEXT NOT NULL, offset INTEGER NOT NULL)",
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL)",
        """CREATE TABLE requests (
            name TEXT PRIMARY KEY, file TEXT, generation INTEGER NOT NULL, fired_through INTEGER,
            state TEXT NOT NULL)""",
        # A table of their own: definitions are long and change seldom, while the row of a
        # request changes with every fire.
        "CREATE TABLE definitions (name TEXT PRIMARY KEY, definition TEXT)",
        # Columns hold what changes while an execution runs, so its body is written once.
        """CREATE TABLE executions (
            id TEXT PRIMARY KEY, request TEXT NOT NULL, generation INTEGER,
            scheduled_for INTEGER NOT NULL, attempt INTEGER NOT NULL, sequence INTEGER NOT NULL,
            phase TEXT NOT NULL, node TEXT, pid INTEGER, pid_started INTEGER,
            body TEXT NOT NULL, started INTEGER, stopped_by TEXT, stopped_for TEXT,
            due INTEGER NOT NULL, group_id TEXT)""",
        # Without COALESCE no two claims would be equal, because NULLs are distinct in SQL.
        """CREATE UNIQUE INDEX claims
            ON executions (request, generation, scheduled_for, attempt, sequence,
            COALESCE(group_id, ''))
            WHERE generation IS NOT NULL""",
        """CREATE TABLE commands (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL,
            requested_by TEXT NOT NULL, deadline INTEGER NOT NULL, status TEXT NOT NULL,
            answer TEXT)""",
        # This index is almost always empty, so a look for commands reads one page, however
        # many were answered.
        "CREATE INDEX pending ON commands (status) WHERE status = 'pending'",
    ),
    (
        """CREATE TABLE alerts (
            request TEXT NOT NULL, check_name TEXT NOT NULL, state TEXT NOT NULL,
            PRIMARY KEY (request, check_name)) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE results (
            execution TEXT PRIMARY KEY, request TEXT NOT NULL, channel TEXT NOT NULL,
            status TEXT NOT NULL, reason TEXT, scheduled_for INTEGER NOT NULL,
            attempt INTEGER NOT NULL, started INTEGER, ended INTEGER NOT NULL,
            duration INTEGER NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX results_of_request ON results (request, ended, execution)",
        # Version 1 kept only the status and the end of the last result: in the state of its
        # request, or in `meta` for a request that no runner had registered. What it did not
        # keep gets a neutral value, and the execution an id that no execution has.
        _results_of_version_1(
            "SELECT name, json_extract(state, '$.result'), json_extract(state, '$.result_at')"
            " FROM requests WHERE json_valid(state) AND json_extract(state, '$.result') NOT NULL"
        ),
        """UPDATE requests SET state = json_remove(state, '$.result', '$.result_at')
            WHERE json_valid(state)""",
        _results_of_version_1(
            "SELECT substr(key, 11), substr(value, 1, instr(value, ' ') - 1),"
            " substr(value, instr(value, ' ') + 1) FROM meta WHERE key LIKE 'result of %'"
        ),
        "DELETE FROM meta WHERE key LIKE 'result of %'",
    ),
    ("CREATE TABLE notifications (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",),
    ("ALTER TABLE executions ADD COLUMN queue TEXT NOT NULL DEFAULT 'default'",),
)

INSERT_RECORD = "INSERT INTO outbox (seq, line) VALUES (?, ?)"
FORGET_RECORDS = "DELETE FROM outbox WHERE seq <= ?"
SELECT_RECORDS = "SELECT seq, line FROM outbox WHERE seq > ? ORDER BY seq"
RECORD_NUMBERS = "SELECT min(seq), max(seq) FROM outbox"
COUNT_RECORDS = "SELECT count(*) FROM outbox"
LAST_RECORD = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"

UPSERT_MARK = "INSERT OR REPLACE INTO mark (one, file, offset) VALUES (1, ?, ?)"
SELECT_MARK = "SELECT file, offset FROM mark"
UPSERT_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
SELECT_META = "SELECT key, value FROM meta WHERE key <> '' ORDER BY key"
INSERT_PADDING = "INSERT OR REPLACE INTO meta (key, value) VALUES ('', zeroblob(?))"
DELETE_PADDING = "DELETE FROM meta WHERE key = ''"
UPSERT_DEFINITION = "INSERT OR REPLACE INTO definitions (name, definition) VALUES (?, ?)"
PRUNE_REQUEST = "DELETE FROM requests WHERE name = ?"
PRUNE_DEFINITION = "DELETE FROM definitions WHERE name = ?"
UPSERT_ALERT = "INSERT OR REPLACE INTO alerts (request, check_name, state) VALUES (?, ?, ?)"
DELETE_ALERT = "DELETE FROM alerts WHERE request = ? AND check_name = ?"
SELECT_ALERTS = "SELECT request, check_name, state FROM alerts ORDER BY request, check_name"
INSERT_RESULT = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
FORGET_RESULT = "DELETE FROM results WHERE execution = ?"
RESULTS_OF = "SELECT * FROM results WHERE request = ? ORDER BY ended DESC, execution DESC"
RESULTS_BEFORE = """SELECT * FROM results WHERE (request, ended, execution) < (?, ?, ?)
    ORDER BY request DESC, ended DESC, execution DESC LIMIT ?"""
RENAME_RESULTS = "UPDATE results SET request = ? WHERE request = ?"
# A step of the recursion seeks the next name in the index. GROUP BY would read every row.
LAST_RESULTS = """WITH RECURSIVE names (name) AS (
        SELECT min(request) FROM results
        UNION ALL
        SELECT (SELECT min(request) FROM results WHERE request > name) FROM names
            WHERE name NOT NULL)
    SELECT * FROM names JOIN results ON execution = (SELECT execution FROM results
        WHERE request = name ORDER BY ended DESC, execution DESC LIMIT 1)"""
UPSERT_NOTIFICATION = "INSERT OR REPLACE INTO notifications (id, body) VALUES (?, ?)"
DELETE_NOTIFICATION = "DELETE FROM notifications WHERE id = ?"
SELECT_NOTIFICATIONS = "SELECT id, body FROM notifications ORDER BY id"
# The row of a removed request has no file.
COUNT_STATUSES = """SELECT json_extract(state, '$.status'), count(*) FROM requests
    WHERE file NOT NULL GROUP BY 1 ORDER BY min(name)"""
SELECT_COMING = """SELECT * FROM (
        SELECT name, json_extract(state, '$.coming[0]') AS fire,
            json_extract(state, '$.coming[1]') AS due FROM requests WHERE file NOT NULL)
    WHERE due NOT NULL ORDER BY {}, name LIMIT ?"""
# To search the text is faster than to parse it, and almost no request has one.
SELECT_BACKFILLS = """SELECT name, json_extract(state, '$.backfill') FROM requests
    WHERE instr(state, '"backfill"') ORDER BY name"""
HAS_EXECUTION = "SELECT 1 FROM executions WHERE id = ?"
END_EXECUTION = "DELETE FROM executions WHERE id = ?"

IS_ANY_PENDING = "SELECT EXISTS (SELECT 1 FROM commands WHERE status = 'pending')"
# Any program that can write to the store can write any row, and SQLite accepts a value of
# any type in any column.
_IS_WELL_FORMED = """(typeof(id) = 'text' AND typeof(deadline) = 'integer'
    AND length(CAST(id AS BLOB)) BETWEEN 1 AND 100 AND length(CAST(kind AS BLOB)) <= 100
    AND length(CAST(requested_by AS BLOB)) <= 1000
    AND length(CAST(arguments AS BLOB)) <= 1048576)"""
_REFUSE = "UPDATE commands SET status = 'answered', answer = ?, arguments = '{}', deadline = ?"
REFUSE_MALFORMED = f"{_REFUSE} WHERE status = 'pending' AND NOT {_IS_WELL_FORMED}"
REFUSE_ROW = f"{_REFUSE} WHERE rowid = ?"
# As bytes: the driver fails for the whole result if one text is not UTF-8.
SELECT_PENDING = """SELECT rowid, CAST(id AS BLOB), CAST(kind AS BLOB), CAST(arguments AS BLOB),
    CAST(requested_by AS BLOB), deadline FROM commands WHERE status = 'pending'
    ORDER BY rowid LIMIT ?"""
TAKE = "UPDATE commands SET status = 'taken' WHERE rowid = ?"
# A settled command loses its arguments: they may hold parameters of `exec`.
_WITHDRAW = "UPDATE commands SET status = 'withdrawn', arguments = '{}'"
WITHDRAW_LATE = f"{_WITHDRAW} WHERE status = 'pending' AND deadline < ?"
WITHDRAW_ORPHANS = f"{_WITHDRAW} WHERE status = 'taken'"
# Rows are in the order in which they were posted, so only the oldest need a look.
PRUNE_COMMANDS = """DELETE FROM commands
    WHERE (deadline < ? OR typeof(deadline) <> 'integer' AND status <> 'pending')
    AND rowid IN (SELECT rowid FROM commands ORDER BY rowid LIMIT 1000)"""
ANSWER = """UPDATE commands SET status = 'answered', answer = ?, arguments = '{}'
    WHERE id = ? AND status = 'taken'"""
ANSWER_OF = "SELECT answer FROM commands WHERE id = ?"
STATUS_OF = "SELECT status FROM commands WHERE id = ?"
WITHDRAW = f"{_WITHDRAW} WHERE id = ? AND status = ?"

Stored = str | bytes | int | None
Row = TypeVar("Row", bound=RequestRow | ExecutionRow | CommandRow)
_ENUMS: dict[str, type[StrEnum]] = {"phase": Phase, "status": CommandStatus}


def to_sql(value: Stored) -> Stored:
    """Return a value that SQLite can hold.

    Text that is not UTF-8, such as some file names, becomes a blob without a loss.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def to_text(value: str | bytes) -> str:
    """Return the text from which `to_sql` made a value."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


class Table(Generic[Row]):
    """A table whose columns are the fields of a row; the first one is the key.

    The field `apart` has a table of its own. `values` returns the raw values of a row, for
    `insert` and `upsert`; SQLite raises UnicodeEncodeError for text that needs `to_sql`.
    """

    def __init__(self, name: str, row: type[Row], *, apart: str | None = None) -> None:
        self._row = row
        self._fields: tuple[str, ...] = row._fields
        self._enums = tuple((column, _ENUMS[column]) for column in self._fields if column in _ENUMS)
        own = [column for column in self._fields if column != apart]
        rest = ", ".join(f"{column} = excluded.{column}" for column in own[1:])
        source = f"{name} LEFT JOIN {apart}s USING ({own[0]})" if apart else name
        self.values = attrgetter(*own)
        self.insert = f"INSERT INTO {name} ({', '.join(own)}) VALUES ({', '.join('?' * len(own))})"
        self.upsert = f"{self.insert} ON CONFLICT ({own[0]}) DO UPDATE SET {rest}"
        self.select = f"SELECT {', '.join(self._fields)} FROM {source}"

    def to_sql(self, row: Row) -> tuple[Stored, ...]:
        """Return the values of a row in a form that SQLite can hold, whatever its text."""
        return tuple(map(to_sql, self.values(row)))

    def to_row(self, values: Sequence[Any]) -> Row:
        """Return the row for a result of `select`."""
        texts = (to_text(value) if isinstance(value, bytes) else value for value in values)
        named: dict[str, Any] = dict(zip(self._fields, texts, strict=True))
        for column, enum in self._enums:
            named[column] = enum(named[column])
        return self._row(**named)


REQUESTS = Table("requests", RequestRow, apart="definition")
EXECUTIONS = Table("executions", ExecutionRow)
COMMANDS = Table("commands", CommandRow)
