"""Read the rows of an export of AD_PROCESS_REQUEST, as CSV or XML. Pure.

A database dump in XML has an element AD_PROCESS_REQUEST with a child for each column. An
export of the data access layer has an element ADProcessRequest with a child for each
property; there a reference has its name in the attribute `identifier`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from runner.errors import RunnerError

_COLUMNS = {
    "timing": "timingoption",
    "intervalinseconds": "secondlyinterval",
    "intervalinminutes": "minutelyinterval",
    "repetitions": "secondlyrepetitions",
    "numrepetitions": "minutelyrepetitions",
    "numberofrepetitions": "hourlyrepetitions",
    "monday": "daymon",
    "tuesday": "daytue",
    "wednesday": "daywed",
    "thursday": "daythu",
    "friday": "dayfri",
    "saturday": "daysat",
    "sunday": "daysun",
    "dayinmonth": "monthlyspecificday",
    "dayoftheweek": "monthlydayofweek",
    "finishtime": "finishestime",
    "finishdate": "finishesdate",
    "cronexpression": "cron",
    "active": "isactive",
    "nextexecution": "nextfiretime",
    "processgroup": "adprocessgroupid",
    "client": "clientname",
    "adclientname": "clientname",
    "organization": "organizationname",
    "orgname": "organizationname",
    "process": "processname",
    "searchkey": "processvalue",
    "value": "processvalue",
    "id": "adprocessrequestid",
    "parameters": "params",
}
"""Our name of a column, by the name of a property or of a column that a query may add."""
_USED = frozenset([
    "timingoption", "frequency", "startdate", "starttime", "finishes", "finishesdate",
    "finishestime", "cron", "secondlyinterval", "minutelyinterval", "hourlyinterval",
    "dailyinterval", "dailyoption", "secondlyrepetitions", "minutelyrepetitions",
    "hourlyrepetitions", "daymon", "daytue", "daywed", "daythu", "dayfri", "daysat",
    "daysun", "monthlyoption", "monthlydayofweek", "monthlyspecificday", "status",
    "isactive", "preventconcurrent", "processvalue", "processname", "adprocessid",
    "adprocessrequestid", "description", "params", "isgroup", "adprocessgroupid",
    "clientname", "adclientid", "organizationname", "adorgid",
])  # fmt: skip
"""The columns that an imported request is made from."""
_ADMINISTRATIVE = frozenset([
    "created", "createdby", "updated", "updatedby", "creationdate", "nextfiretime",
    "previousfiretime", "prevfiretime", "finalfiretime", "nextexecution",
    "previousexecution", "finish", "scheduleprocess", "rescheduleprocess",
    "unscheduleprocess", "schedule", "reschedule", "unschedule", "channel", "obcontext",
    "openbravocontext", "aduserid", "usercontact", "user", "isrolesecurity",
    "securitybasedonrole", "adroleid", "role",
])  # fmt: skip
"""Columns that decide neither what runs nor when: a request's past, the window's buttons,
and who may see it.
"""
_FOOTER = re.compile(r"\(\d+ rows?\)")
"""The last line of a table that psql prints."""
_NEEDED = "timingoption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of an export.

    `values` are its non-empty columns, by name in lowercase letters and digits only;
    `names` has their names as in the export.
    """

    line: int
    values: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    @property
    def unused(self) -> list[str]:
        """The names of non-empty columns that no importer reads, as in the export."""
        return sorted(self.names[column] for column in self.values.keys() - _USED - _ADMINISTRATIVE)

    @property
    def administrative(self) -> list[str]:
        """The names of non-empty columns that decide neither what runs nor when."""
        return sorted(self.names[column] for column in self.values.keys() & _ADMINISTRATIVE)

    def is_yes(self, column: str) -> bool:
        """Return whether a flag is set: Y, yes, t, true or 1."""
        return self[column].lower() in {"y", "yes", "t", "true", "1"}


def rows_of(text: str, name: str) -> list[Row]:
    """Read the rows of an export. Raises RunnerError if the text is not an export."""
    is_xml = text.lstrip("\ufeff \t\r\n").startswith("<")
    rows = list(_xml_rows(text, name) if is_xml else _csv_rows(text, name))
    if not rows:
        raise RunnerError(f"{name} has no rows of AD_PROCESS_REQUEST")
    if not any(_NEEDED in row.values for row in rows):
        raise RunnerError(
            f"{name} is not an export of AD_PROCESS_REQUEST: no row has a TIMING_OPTION"
        )
    return rows


def _row(line: int, pairs: Iterator[tuple[str, str]]) -> Row:
    values, names = {}, {}
    for name, value in pairs:
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        if value.strip():
            column = _COLUMNS.get(plain, plain)
            values[column], names[column] = value.strip(), name
    return Row(line=line, values=values, names=names)


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    """Yield the rows of a CSV export. Raises RunnerError with the line of an error."""
    # The delimiter is the most frequent candidate in the header: `;` in many locales' CSV,
    # `|` in psql's unaligned output.
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    try:
        columns = next(reader, [])
        begin = reader.line_num + 1
        for cells in reader:
            if any(cells) and not _FOOTER.fullmatch(cells[0]):
                # Oracle's tools print NULL for an empty value, PostgreSQL's COPY prints \N.
                more = [f"column {number}" for number in range(len(columns) + 1, len(cells) + 1)]
                named = zip([*columns, *more], cells, strict=False)
                yield _row(begin, ((c, "" if v in {"NULL", "\\N"} else v) for c, v in named))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise RunnerError(f"{name}:{reader.line_num}: this is not CSV: {error}") from None


def _xml_rows(text: str, name: str) -> Iterator[Row]:
    """Return the rows of an XML export. Raises RunnerError with the line of an error."""
    reader = _Elements()
    try:
        reader.parser.Parse(text.removeprefix("\ufeff").encode(), True)
    except expat.ExpatError as error:
        raise RunnerError(
            f"{name}:{error.lineno}: this is not XML: {expat.ErrorString(error.code)}"
        ) from None
    return (_row(line, iter(pairs)) for line, pairs in reader.rows)


@dataclass(slots=True)
class _Elements:
    """Collects rows from an XML parser's events: a row, a column in it, the column's text."""

    rows: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    depth: int = 0
    row_depth: int = 0
    texts: list[str] = field(default_factory=list)
    identifier: str = ""
    parser: expat.XMLParserType = field(init=False)

    def __post_init__(self) -> None:
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.texts.append
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        # A name may have a namespace prefix, such as the data access layer's `ob:`.
        local = name.rpartition(":")[2].lower().replace("_", "")
        if not self.row_depth and local == "adprocessrequest":
            self.row_depth = self.depth
            self.rows.append((self.parser.CurrentLineNumber, []))
        elif self.depth == self.row_depth + 1:
            self.texts.clear()
            self.identifier = attributes.get("identifier", "")

    def _end(self, name: str) -> None:
        if self.row_depth and self.depth == self.row_depth + 1:
            value = self.identifier or "".join(self.texts)
            self.rows[-1][1].append((name.rpartition(":")[2], value))
        elif self.depth == self.row_depth:
            self.row_depth = 0
        self.depth -= 1

    def _refuse(self, *_: object) -> None:
        """Refuse a document type: it can define entities that expand without limit."""
        raise RunnerError("XML with a document type (<!DOCTYPE>) is refused; an export has none")
