"""What to say of a name that no request in force has: what is wrong with its file, or
which name is near. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from runner.requests.catalog.reader import Rejection
from runner.spelling import nearest_word


def words_for(name: str, known: Collection[str], rejections: Iterable[Rejection]) -> str:
    """Say that no request has this name, and why; `known` are the names of those in force."""
    return reason_for(name, known, rejections) or f"there is no request {name!r}"


def reason_for(name: str, known: Collection[str], rejections: Iterable[Rejection]) -> str | None:
    """Say why no request has a name: its file is invalid, or another name was meant;
    None if there is no telling.
    """
    rejected = {each: rejection for rejection in rejections for each in _names_of(rejection)}
    if name in rejected:
        first, *others = rejected[name].problems_of(name)
        more = f" (and {len(others)} more; `runner validate` shows all)" if others else ""
        return f"{name!r} has no valid version: {first}{more}"
    near = nearest_word(name, {*known, *rejected})
    return f"there is no request {name!r}; did you mean {near!r}?" if near else None


def is_rejected(name: str, rejections: Iterable[Rejection]) -> bool:
    """Tell whether a rejected document would supply a name."""
    return any(name in _names_of(each) for each in rejections)


def _names_of(rejection: Rejection) -> frozenset[str]:
    """Return the names that a rejected file would supply; of one that cannot be read at
    all, the file's stem.
    """
    stem = PurePosixPath(rejection.file).stem
    return rejection.names | {stem} if rejection.whole else rejection.names
