"""Reading the URL of a store in PostgreSQL."""

from __future__ import annotations

import pytest

from runner.errors import StoreError
from runner.store.postgres.connecting.address import address_of


def test_the_schema_comes_from_the_url_and_does_not_reach_libpq() -> None:
    address = address_of("postgresql://me:s3cret@db/runner?schema=second&sslmode=require")
    assert address.schema == "second"
    assert address.parameters["sslmode"] == "require"
    assert "schema" not in address.parameters
    assert address_of("postgres://db/runner").schema == "runner"


@pytest.mark.parametrize(
    "url",
    [
        "s3cret",
        "mysql://me:s3cret@db/runner",
        "postgresql://me:s3cret@more@db/runner",
        "postgresql://me:s3cret@db/runner?s3cret=1",
        "postgresql://me:s3cret@db/runner?schema=s3cret-1",
        "postgresql://me:s3cret%zz@db/runner",
        "postgresql://me:s3cret@[db/runner",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_content(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        address_of(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
