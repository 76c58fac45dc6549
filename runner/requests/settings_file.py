"""`runner.yaml`, the settings beside a jobs folder: from bytes to values. Reads the file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.errors import Problem, RuleError, UsageError
from runner.requests.building.document_part import Part
from runner.requests.building.retention import retention_of
from runner.requests.file_settings import (
    LOST_AFTER,
    RETENTION,
    FileSettings,
    OutputBounds,
    WebSettings,
)
from runner.requests.files.bounded_read import Trouble, read_bounded
from runner.requests.files.outside_files import without_content
from runner.requests.findings import Finding
from runner.requests.receivers import ALERT_KEYS, AlertSettings
from runner.requests.schema.checking import findings_in
from runner.requests.settings import NAME
from runner.requests.yaml.document import documents_in
from runner.system.regular_files import is_missing
from runner.system.trust import Trust
from runner.timing.zones import zone_named

_LEAST_LOST_AFTER = timedelta(minutes=2)
"""Several heartbeats of a worker, and the time to end its fenced executions, fit into it."""


def settings_beside(jobs: Path, trust: Trust | None = None) -> FileSettings:
    """Read the settings file beside a jobs folder; a missing file means defaults.

    With `trust`, refuses a file outside that trust. Raises UsageError with every
    problem.
    """
    path = jobs.absolute().parent / NAME
    if is_missing(path):
        return FileSettings()
    if trust and (objection := trust.objection(path)):
        raise UsageError(f"root does not use {path}: {objection.reason}; {objection.way_out}")
    content = read_bounded(str(path), trust)
    if isinstance(content, Trouble):
        hint = f" ({content.suggestion})" if content.suggestion else ""
        raise UsageError(f"{path}: {content.reason}{hint}")
    settings = settings_in(content[0], str(path))
    if isinstance(settings, FileSettings):
        return settings
    problems = without_content(settings, str(path), str(path.parent))
    raise UsageError("\n".join(["the settings are invalid", *map(str, problems)]))


def settings_in(raw: bytes, display: str) -> FileSettings | tuple[Problem, ...]:
    """Read the bytes of a settings file, or return all of its problems.

    `display` is the file's path; its folder is the base of relative paths.
    """
    documents = documents_in(raw, display)
    if isinstance(documents, Problem):
        return (documents,)
    if not documents:
        return FileSettings()
    findings = [*documents[0].findings, *findings_in(documents[0].data, "runner")]
    if len(documents) > 1:
        findings.append(
            Finding(path=(), message="the settings are one document", suggestion="remove the `---`")
        )
    if not findings:
        settings, findings = _settings(documents[0].data, Path(display).parent)
        if not findings:
            return settings
    return tuple(documents[0].problem(finding, display) for finding in findings)


def _settings(data: Any, folder: Path) -> tuple[FileSettings, list[Finding]]:
    whole = Part(data=data, path=(), findings=[])
    bounds = OutputBounds()
    outputs = whole.below("outputs") if "outputs" in data else replace(whole, data={})
    settings = FileSettings(
        timezone=_zone(whole),
        state=folder / data["state"] if "state" in data else None,
        store_file=folder / data["store_file"] if "store_file" in data else None,
        monitor_log=folder / data["monitor_log"] if "monitor_log" in data else None,
        max_running=data.get("max_running"),
        drain=whole.duration("drain", None),
        lost_after=_lost_after(whole),
        retention=retention_of(whole).over(RETENTION),
        outputs=OutputBounds(
            size=outputs.size("keep_size") or bounds.size,
            count=outputs.data.get("keep_count", bounds.count),
        ),
        alerts=_alerts(whole, folder),
        web=_web(data.get("web", {}), folder),
    )
    return settings, whole.findings


def _lost_after(whole: Part) -> timedelta:
    if "fleet" not in whole.data:
        return LOST_AFTER
    fleet = whole.below("fleet")
    lost_after = fleet.duration("lost_after", LOST_AFTER)
    if lost_after < _LEAST_LOST_AFTER:
        fleet.find(("lost_after",), "`lost_after` should be at least 2m")
    return lost_after


def _web(data: dict[str, Any], folder: Path) -> WebSettings:
    paths = ("socket", "tls_cert", "tls_key")
    given = {name: folder / value if name in paths else value for name, value in data.items()}
    return WebSettings(**given)


def _alerts(settings: Part, folder: Path) -> AlertSettings:
    if settings.data.keys().isdisjoint(ALERT_KEYS):
        return AlertSettings()
    # Imported late: most commands read the settings, and few files say this.
    from runner.requests.building.alert_settings import alert_settings_of

    return alert_settings_of(settings, folder)


def _zone(whole: Part) -> str | None:
    """Return the canonical name of the zone, None without a valid one."""
    try:
        return zone_named(whole.data["timezone"]).key if "timezone" in whole.data else None
    except RuleError as error:
        whole.find(("timezone",), str(error), error.suggestion)
        return None
