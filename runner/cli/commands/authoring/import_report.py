"""The report of an import: the files that it wrote, and its remarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from runner.cli.output.tables import echo, echo_data, json_line, style
from runner.importing.imported import Import, Remark, Severity
from runner.planning.views.request_cautions import document_cautions
from runner.values import counted

_COLOURS = {Severity.CHANGED: "red", Severity.DIFFERS: "yellow", Severity.NOTE: "blue"}


def with_cautions(imported: Import, zone: str) -> Import:
    """Add the cautions of `validate` as notes. The files do not have them: some soon pass."""
    now = datetime.now(UTC)
    notes = [
        Remark(
            line=each.line,
            severity=Severity.NOTE,
            message=f"caution: {caution.message}",
            request=each.name,
        )
        for each in imported.requests
        if each.data
        for caution in document_cautions(each.data, each.name, zone, now)
    ]
    return replace(imported, remarks=(*imported.remarks, *notes))


def print_report(
    imported: Import,
    files: Mapping[str, str],
    target: Path,
    output: str,
    *,
    dry_run: bool,
    source: str,
) -> None:
    """Print the imported files and remarks, as text or as JSON lines."""
    if output == "json":
        _report_json(imported, files, target, dry_run=dry_run)
        return
    if dry_run:
        echo_data("---\n".join(files.values()))
    else:
        for name in files:
            echo(f"wrote {target / name}")
    for remark in imported.all_remarks():
        _print_remark(remark, source)
    echo(_verdict(imported, dry_run=dry_run), err=True)


def _report_json(
    imported: Import, files: Mapping[str, str], target: Path, *, dry_run: bool
) -> None:
    for request in imported.requests:
        name = f"{request.name}.yaml"
        item = {
            "request": request.name,
            "line": request.line,
            "file": str(target / name) if name in files else None,
            "scheduled": request.data is not None and request.data.get("scheduled", True),
        }
        echo(json_line(item | ({"text": files.get(name)} if dry_run else {})))
    for remark in imported.all_remarks():
        echo(json_line({field: getattr(remark, field) for field in Remark.__slots__}))


def _print_remark(remark: Remark, source: str) -> None:
    severity = style(remark.severity.value, fg=_COLOURS[remark.severity])
    about = f"{remark.request}: " if remark.request else ""
    echo(
        f"{style(f'{source}:{remark.line}:', bold=True)} {severity}: {about}{remark.message}",
        err=True,
    )
    if remark.suggestion:
        echo(f"    {style(remark.suggestion, fg='green')}", err=True)


def _verdict(imported: Import, *, dry_run: bool) -> str:
    written = [request.data for request in imported.requests if request.data]
    unscheduled = sum(not data.get("scheduled", True) for data in written)
    left_out = len(imported.requests) - len(written)
    what = f"{counted(len(written), 'request')}"
    parts = [f"{what} {'would be written' if dry_run else 'written'}"]
    parts += [f"{unscheduled} of them unscheduled"] * bool(unscheduled)
    parts += [f"{left_out} left out"] * bool(left_out)
    return ", ".join(parts)
