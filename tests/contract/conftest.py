"""Fixtures of the contract tests."""

from __future__ import annotations

from support.store_places import new_place, store_place  # noqa: F401 - fixtures
