"""Import Openbravo's process requests (AD_PROCESS_REQUEST), as its trigger generators
and Quartz read them. Pure.

Openbravo runs a Java class inside its server, which Runner cannot. A request gets the
command that the user's template makes of the process's search key. Without a template,
it gets a command that fails, and it is unscheduled.
"""

from __future__ import annotations

import json
import shlex

from runner.importing.imported import (
    Data,
    Draft,
    Import,
    ImportSettings,
    Remark,
    Severity,
    finished,
)
from runner.importing.importers.openbravo_rows import Row, rows_of
from runner.importing.importers.openbravo_timing import OpenbravoTiming

_PLACEHOLDER = ["false"]
_IN_FORCE = {"SCH", "MIS", "PRC", ""}  # scheduled, misfired, processing, not exported
_HEADLESS = "the user, role and language of its context (OB_CONTEXT) are not carried over"


def from_openbravo(
    text: str, settings: ImportSettings, *, name: str, command: str | None
) -> Import:
    """Read an export. In `command`, a shell-like line, `{process}` stands for the
    process's search key or name.

    Raises RunnerError if the text is not an export.
    """
    template = shlex.split(command) if command else None
    rows = rows_of(text, name)
    drafts = [_Request(row, template, settings).draft for row in rows]
    remarks = [settings.zone_remark("the server")]
    if columns := sorted({column for row in rows for column in row.administrative}):
        message = (
            f"{', '.join(columns)}: not carried over, because these columns decide"
            " neither what runs nor when"
        )
        remarks.append(Remark(line=1, severity=Severity.NOTE, message=message))
    if template:
        remarks.append(Remark(line=1, severity=Severity.DIFFERS, message=_HEADLESS))
    return finished(drafts, remarks, settings)


class _Request:
    """Converts one row to a request."""

    def __init__(self, row: Row, template: list[str] | None, settings: ImportSettings) -> None:
        self._row = row
        process = row["processvalue"] or row["processname"] or row["adprocessid"]
        shown = row["processname"] or process
        identity = row["adprocessrequestid"]
        self.draft = Draft(
            line=row.line,
            excerpt=f"{shown or 'no process'}, request {identity}" if identity else shown,
            wanted_name=row["processname"] or row["description"] or process or "request",
        )
        self._say_what_runs(process, template)
        self._say_who()
        if timing := OpenbravoTiming(row, self.draft, settings).timing():
            self.draft.data["timing"] = timing
        self._say_status()
        for column in row.unused:
            self.draft.changed(f"the column {column} is unknown and is not carried over")

    def _say_what_runs(self, process: str, template: list[str] | None) -> None:
        row = self._row
        if row.is_yes("isgroup") or row["adprocessgroupid"]:
            self.draft.changed(
                "it runs a process group, whose members the export does not contain",
                "write a `group`",
            )
            self.draft.process["command"] = _PLACEHOLDER
        elif template and process:
            self.draft.process["command"] = [
                word.replace("{process}", process) for word in template
            ]
        else:
            message = (
                f"it runs the process {process or '?'} inside Openbravo, which Runner cannot do"
            )
            self.draft.changed(
                message, "import it with --command 'PROGRAM {process}', or write its `command`"
            )
            self.draft.process["command"] = _PLACEHOLDER
        if row.is_yes("preventconcurrent"):
            self.draft.process["prevent_concurrent"] = True
        if params := _parameters(row["params"]):
            self.draft.process["params"] = params
        elif row["params"] not in {"", "{}"}:
            self.draft.changed(
                "its parameters are not a JSON object and are not carried over",
                "write its `params`",
            )

    def _say_who(self) -> None:
        row = self._row
        if row["description"]:
            self.draft.data["description"] = row["description"]
        client = row["clientname"] or row["adclientid"]
        organization = row["organizationname"] or row["adorgid"]
        context = {"client": client, "organization": organization}
        if any(context.values()):
            self.draft.data["context"] = {key: value for key, value in context.items() if value}

    def _say_status(self) -> None:
        status = self._row["status"].upper()
        if status not in _IN_FORCE or (self._row["isactive"] and not self._row.is_yes("isactive")):
            self.draft.data["scheduled"] = False
            reason = f"its status is {status}" if status not in _IN_FORCE else "it is not active"
            self.draft.note(f"{reason}: it is written unscheduled")


def _parameters(text: str) -> Data:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
