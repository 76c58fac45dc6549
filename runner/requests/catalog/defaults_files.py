"""The `_defaults.yaml` files of a jobs folder, kept current and merged per folder. Reads files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace

from runner.errors import Problem
from runner.requests.catalog.defaults import NAMES, NONE, Defaults, together
from runner.requests.catalog.folder.listing import Listing
from runner.requests.catalog.request_file import Place, file_problem, fresh_after_ns
from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at
from runner.system.regular_files import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A file as last read; `digest` is the SHA-256 of its bytes.

    With `is_fresh`, other files read for it changed so shortly before that their
    signatures may hide a change.
    """

    signature: Signature | None
    digest: bytes
    defaults: Defaults
    is_fresh: bool = False

    @property
    def is_as_read(self) -> bool:
        """Whether the other files read for this one are unchanged."""
        return not self.is_fresh and all(
            signature_at(path) == signature for path, signature in self.defaults.reads.items()
        )


class DefaultsFiles:
    """The defaults files below `root`, an absolute path.

    `display` turns a path relative to `root` into the path that messages show.
    """

    def __init__(
        self, root: str, *, display: Callable[[str], str], default_zone: str, is_guarded: bool
    ) -> None:
        self._is_guarded = is_guarded
        self._root = root
        self._display = display
        self._default_zone = default_zone
        self._known: dict[str, _Known] = {}
        self._around: dict[str, Defaults] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def problems(self) -> Mapping[str, tuple[Problem, ...]]:
        """The problems of each file, by path relative to the jobs folder."""
        found = {relative: self._own(relative).problems for relative in sorted(self._known)}
        return {relative: problems for relative, problems in found.items() if problems}

    @property
    def reads(self) -> frozenset[str]:
        """The absolute paths of the other files read for these, such as dates of `except`."""
        return frozenset(path for known in self._known.values() for path in known.defaults.reads)

    @property
    def is_as_read(self) -> bool:
        """Whether the other files read for these are unchanged."""
        return all(known.is_as_read for known in self._known.values())

    def around(self, folder: str) -> Defaults:
        """Return the defaults for the requests directly in a folder.

        `folder` is relative to the jobs folder; "" is the jobs folder itself.
        """
        if not self._known:
            return NONE
        if folder not in self._around:
            far = self.around(folder.rpartition("/")[0]) if folder else NONE
            below = f"{folder}/" if folder else ""
            for relative in (below + name for name in NAMES if below + name in self._known):
                own = self._own(relative)
                far = together(far, own, hashlib.sha256(far.digest + own.digest).digest())
            self._around[folder] = far
        return self._around[folder]

    def refresh(self, listing: Listing) -> Generator[None, None, bool]:
        """Read every defaults file; return whether any of them changed."""
        known: dict[str, _Known] = {}
        for relative in listing.defaults:
            known[relative] = self._refreshed(relative, listing.troubles.get(relative))
            yield
        before = {relative: each.defaults.digest for relative, each in self._known.items()}
        is_any = before != {relative: each.defaults.digest for relative, each in known.items()}
        self._known = known
        if is_any:
            self._around = {}
        return is_any

    def look(self, listing: Listing) -> Generator[None, None, bool]:
        """Return, by `stat` alone, whether any file changed, appeared or disappeared."""
        if len(listing.defaults) != len(self._known):
            return True
        for relative, signature in listing.defaults.items():
            known = self._known.get(relative)
            if known is None or known.signature != signature or not known.is_as_read:
                return True
            yield
        return False

    def _own(self, relative: str) -> Defaults:
        """Return what one file sets.

        With both spellings in one folder, the `.yml` file is an error.
        """
        first = relative.removesuffix(NAMES[1]) + NAMES[0]
        own = self._known[relative].defaults
        if first == relative or first not in self._known:
            return own
        trouble = Trouble(
            reason=f"`{NAMES[0]}` is in the same folder", suggestion="keep one of them"
        )
        problem = file_problem(self._display(relative), trouble)
        # Any digest will do that differs from the digest of the file alone.
        return replace(own, problems=(problem, *own.problems), digest=own.digest[::-1])

    def _refreshed(self, relative: str, trouble: Trouble | None) -> _Known:
        # Imported late: most jobs folders have no such file, and need no YAML if unchanged.
        from runner.requests.catalog.defaults_file import defaults_in, digest_of

        path = f"{self._root}/{relative}"
        content = trouble or read_bounded(path)
        if isinstance(content, Trouble):
            problems = (file_problem(self._display(relative), content),)
            return _Known(
                signature=None,
                digest=b"",
                defaults=Defaults(problems=problems, digest=digest_of(repr(problems))),
            )
        raw, signature = content
        known, digest = self._known.get(relative), hashlib.sha256(raw).digest()
        if known is not None and known.digest == digest and known.is_as_read:
            return replace(known, signature=signature)
        place = Place(
            relative=relative,
            display=self._display(relative),
            path=path,
            default_zone=self._default_zone,
            is_guarded=self._is_guarded,
        )
        tick_ago_ns = fresh_after_ns()
        defaults = defaults_in(raw, place)
        is_fresh = any(each and each[-1] > tick_ago_ns for each in defaults.reads.values())
        return _Known(signature=signature, digest=digest, defaults=defaults, is_fresh=is_fresh)
