"""What to report for an unknown request name: its file's problem, or a similar name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from runner.requests.catalog.catalog import Rejection
from runner.spelling import nearest_word


def words_for(name: str, known: Collection[str], rejections: Iterable[Rejection]) -> str:
    """Return why no request has this name.

    `known` are the names in force.
    """
    return reason_for(name, known, rejections) or f"there is no request {name!r}"


def reason_for(name: str, known: Collection[str], rejections: Iterable[Rejection]) -> str | None:
    """Return why no request has a name: its file is invalid, or a similar name exists.

    None if no reason is known.
    """
    rejected = {each: rejection for rejection in rejections for each in _names_of(rejection)}
    if name in rejected:
        first, *others = rejected[name].problems_of(name)
        more = f" (and {len(others)} more; `runner validate` shows all)" if others else ""
        return f"{name!r} has no valid version: {first}{more}"
    near = near_name(name, known, rejections)
    return f"there is no request {name!r}; did you mean {near!r}?" if near else None


def near_name(name: str, known: Collection[str], rejections: Iterable[Rejection]) -> str | None:
    """Return the name of a request that may be meant, valid or not; None if there is none."""
    return nearest_word(name, {*known, *(each for one in rejections for each in _names_of(one))})


def is_rejected(name: str, rejections: Iterable[Rejection]) -> bool:
    """Report whether a rejected document would supply a name."""
    return any(name in _names_of(each) for each in rejections)


def _names_of(rejection: Rejection) -> frozenset[str]:
    """Return the names that a rejected file would supply.

    A file without readable names counts under its stem.
    """
    stem = PurePosixPath(rejection.file).stem
    return rejection.names | {stem} if rejection.whole else rejection.names
