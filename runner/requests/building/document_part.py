"""One mapping of a document during building: its data, its path, its findings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runner.requests.findings import DataPath, Finding
from runner.values import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

_Default = TypeVar("_Default")
_LARGEST = 1 << 60
"""Bytes. The kernel's own limits are signed 64-bit numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A mapping that the schema accepts.

    All parts of a document share one list `findings`, which grows during building.
    """

    data: Mapping[str, Any]
    path: DataPath
    findings: list[Finding]

    def below(self, *keys: str | int) -> Part:
        """Return the mapping below this one."""
        data: Any = self.data
        for key in keys:
            data = data[key]
        return Part(data=data, path=(*self.path, *keys), findings=self.findings)

    def find(
        self, path: DataPath, message: str, suggestion: str | None = None, *, at_key: bool = False
    ) -> None:
        """Add a finding at a path below this mapping."""
        self.findings.append(
            Finding(path=(*self.path, *path), message=message, suggestion=suggestion, at_key=at_key)
        )

    def duration(
        self, key: str, default: _Default, *, above_zero: bool = False
    ) -> timedelta | _Default:
        """Return the duration at a key, else the default."""
        if key not in self.data:
            return default
        try:
            duration = parse_duration(self.data[key])
        except ValueError as error:
            self.find((key,), str(error))
            return default
        if above_zero and not duration:
            self.find((key,), f"`{key}` should be longer than zero")
        return duration

    def size(self, key: str) -> int | None:
        """Return the size at a key in bytes, at least one, else None."""
        if key not in self.data:
            return None
        try:
            size = parse_size(self.data[key])
        except ValueError as error:
            self.find((key,), str(error))
            return None
        if not 0 < size <= _LARGEST:
            self.find(
                (key,),
                f"`{key}` should be {'more than zero' if not size else 'less than 1000000 TiB'}",
            )
        return size
