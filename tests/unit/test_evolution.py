"""A copy with changes is the one that `dataclasses.replace` makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from runner.evolution import evolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value with a check and a default."""

    x: int
    y: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a negative value."""
        if self.x < 0:
            raise ValueError(self.x)


@pytest.mark.parametrize("changes", [{}, {"x": 3}, {"y": 4}, {"x": 3, "y": 4}])
def test_a_copy_has_the_changes_and_the_other_values(changes: dict[str, int]) -> None:
    point = Point(x=1, y=2)
    copy = evolved(point, **changes)
    assert copy == replace(point, **changes)
    assert copy is not point and point == Point(x=1, y=2)


def test_a_copy_is_checked_and_frozen_like_any_value() -> None:
    with pytest.raises(ValueError, match="-1"):
        evolved(Point(x=1), x=-1)
    with pytest.raises(TypeError):
        evolved(Point(x=1), z=1)
    with pytest.raises(FrozenInstanceError):
        evolved(Point(x=1), x=2).x = 3  # type: ignore[misc]
