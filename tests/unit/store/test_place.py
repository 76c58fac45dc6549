"""What the place of a store shows to a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.store.place import StorePlace


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "/state"),
        ("postgresql://me:s3cret@db:5432/runner?sslpassword=s3cret", "postgresql://me@db:5432/runner"),
        ("postgresql://me:s3cr@et@db/runner", "postgresql://me@db/runner"),
        ("postgresql:///runner?host=/tmp/x", "postgresql:///runner"),
    ],
)  # fmt: skip
def test_a_place_is_shown_without_secrets(url: str | None, words: str) -> None:
    place = StorePlace(folder=Path("/state"), url=url)
    assert place.words == words
    assert "s3cr" not in repr(place)
