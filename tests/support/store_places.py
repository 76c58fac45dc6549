"""The places of stores that the promises of a store are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.postgres import PostgresServer

from runner.store.place import StorePlace

NewPlace = Callable[[], StorePlace]


@pytest.fixture(params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewPlace]:
    """Provide a function that returns the place of a store that does not exist yet."""
    with ExitStack() as resources:
        numbers = iter(range(1_000_000))

        def new() -> StorePlace:
            folder = tmp_path / f"state-{next(numbers)}"
            if request.param == "sqlite":
                return StorePlace(folder=folder)
            server: PostgresServer = request.getfixturevalue("postgres")
            return StorePlace(folder=folder, url=resources.enter_context(server.new_database()))

        yield new


@pytest.fixture
def store_place(new_place: NewPlace) -> StorePlace:
    """Provide the place of a store that does not exist yet."""
    return new_place()
