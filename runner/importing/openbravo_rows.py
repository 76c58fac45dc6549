"""The rows of an export of AD_PROCESS_REQUEST: CSV, or XML by column or by property names. Pure.

XML has elements named AD_PROCESS_REQUEST with a child for each column (the database's
own dump), or ADProcessRequest with a child for each property, where a reference bears
its name as `identifier` (the data access layer's export).
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
"""Names of properties, and of columns that a query may add, by our name of the column."""
_USED = frozenset(
    {
        *(
            "timingoption",
            "frequency",
            "startdate",
            "starttime",
            "finishes",
            "finishesdate",
            "finishestime",
            "cron",
        ),
        *("secondlyinterval", "minutelyinterval", "hourlyinterval", "dailyinterval", "dailyoption"),
        *("secondlyrepetitions", "minutelyrepetitions", "hourlyrepetitions"),
        *("daymon", "daytue", "daywed", "daythu", "dayfri", "daysat", "daysun"),
        *(
            "monthlyoption",
            "monthlydayofweek",
            "monthlyspecificday",
            "status",
            "isactive",
            "preventconcurrent",
        ),
        *(
            "processvalue",
            "processname",
            "adprocessid",
            "adprocessrequestid",
            "description",
            "params",
        ),
        *("isgroup", "adprocessgroupid", "clientname", "adclientid", "organizationname", "adorgid"),
    }
)
"""The columns that decide what is written."""
_ADMINISTRATIVE = frozenset(
    {
        *(
            "created",
            "createdby",
            "updated",
            "updatedby",
            "creationdate",
            "nextfiretime",
            "previousfiretime",
        ),
        *(
            "prevfiretime",
            "finalfiretime",
            "nextexecution",
            "previousexecution",
            "finish",
            "scheduleprocess",
        ),
        *(
            "rescheduleprocess",
            "unscheduleprocess",
            "schedule",
            "reschedule",
            "unschedule",
            "channel",
        ),
        *(
            "obcontext",
            "openbravocontext",
            "aduserid",
            "usercontact",
            "user",
            "isrolesecurity",
            "securitybasedonrole",
        ),
        *("adroleid", "role"),
    }
)
"""Columns about a request's past, the window's buttons, and who may see it: they decide
neither what runs nor when.
"""
_FOOTER = re.compile(r"\(\d+ rows?\)")
"""What psql ends a table with."""
_NEEDED = "timingoption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row, its columns by their names in small letters and digits alone; what is
    empty is left out.
    """

    line: int
    values: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    @property
    def unused(self) -> list[str]:
        """The columns that hold something that nothing here reads, as the export names them."""
        return sorted(self.names[column] for column in self.values.keys() - _USED - _ADMINISTRATIVE)

    @property
    def administrative(self) -> list[str]:
        """The columns that hold something, but nothing that decides what runs or when."""
        return sorted(self.names[column] for column in self.values.keys() & _ADMINISTRATIVE)

    def is_yes(self, column: str) -> bool:
        """Tell whether a flag is set: Y, or true."""
        return self[column].lower() in {"y", "yes", "t", "true", "1"}


def rows_of(text: str, name: str) -> list[Row]:
    """Read the rows of an export. Raises RunnerError if it is none."""
    is_xml = text.lstrip("\ufeff \t\r\n").startswith("<")
    rows = list(_xml_rows(text, name) if is_xml else _csv_rows(text, name))
    if not rows:
        raise RunnerError(f"{name} has no rows of AD_PROCESS_REQUEST")
    if not any(_NEEDED in row.values for row in rows):
        raise RunnerError(f"{name} is no export of AD_PROCESS_REQUEST: no row has a TIMING_OPTION")
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
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    try:
        columns = next(reader, [])
        begin = reader.line_num + 1
        for cells in reader:
            if any(cells) and not _FOOTER.fullmatch(cells[0]):
                # What psql prints for nothing where it is told to, and what Oracle's tools do.
                more = [f"column {number}" for number in range(len(columns) + 1, len(cells) + 1)]
                named = zip([*columns, *more], cells, strict=False)
                yield _row(begin, ((c, "" if v in {"NULL", "\\N"} else v) for c, v in named))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise RunnerError(f"{name}:{reader.line_num}: this is no CSV: {error}") from None


def _xml_rows(text: str, name: str) -> Iterator[Row]:
    reader = _Elements()
    try:
        reader.parser.Parse(text.removeprefix("\ufeff").encode(), True)
    except expat.ExpatError as error:
        raise RunnerError(
            f"{name}:{error.lineno}: this is no XML: {expat.ErrorString(error.code)}"
        ) from None
    return (_row(line, iter(pairs)) for line, pairs in reader.rows)


@dataclass(slots=True)
class _Elements:
    """The elements of an export as they come: a row, a column in it, its text."""

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
        """A document type can define entities that grow without bound; an export has none."""
        raise RunnerError("XML with a document type (<!DOCTYPE>) is not read; an export has none")
