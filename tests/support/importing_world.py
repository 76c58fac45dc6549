"""Helpers that read imported requests, for the tests of all importers."""

from __future__ import annotations

from typing import Any

from runner.importing.imported import Imported, Severity


def data_of(request: Imported) -> dict[str, Any]:
    assert request.data is not None
    return request.data


def messages(request: Imported, severity: Severity) -> list[str]:
    return [remark.message for remark in request.remarks if remark.severity is severity]
