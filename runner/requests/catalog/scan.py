"""The files of a jobs folder, kept current in slices: only changed files are read.

Reads files. No slice grows with the folder: a walk costs one `stat` for each unchanged
file. Where a watcher reports which paths have changed, only these are looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Generator, Mapping
from pathlib import Path

from runner.requests.catalog.defaults_files import DefaultsFiles
from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.requests.catalog.folder.listing import Absence, Listing, list_files
from runner.requests.catalog.folder.path_look import Found, look_at
from runner.requests.catalog.request_file import Place, RequestFile, reads_differ
from runner.requests.catalog.validated_files import ValidatedFiles
from runner.requests.files.bounded_read import Trouble
from runner.system.regular_files import Signature, real_path

_ROUNDS = 4
"""How often a folder that changes during a read is read again."""
_KNOWN_BETWEEN_YIELDS = 100
_MOST_ALTERED = 500
"""How many altered files are noted between two merges."""


class JobFiles:
    """The files of one folder.

    `by_path` maps paths relative to it, `order` are those paths sorted, `bad` those
    with problems. `troubles` are the paths that cannot be read; `absence` says why the
    folder showed nothing at the last walk, None if it was there. `defaults` are the shared
    settings; when they change, the files that they apply to are read again. `validated`
    are files that a former program read: those that are unchanged are not read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        display: Callable[[str], str],
        default_zone: str,
        is_guarded: bool = False,
    ) -> None:
        self.by_path: dict[str, RequestFile] = {}
        self.order: list[str] = []
        self.bad: set[str] = set()
        self.troubles: Mapping[str, Trouble] = {}
        self.links: tuple[str, ...] = ()
        self.absence: str | None = None
        self.is_news = False
        """Whether good files were read, or have gone, since this was last set to False."""
        self.validated = ValidatedFiles()
        self._folder = folder
        self._root = str(folder.absolute())
        self._display = display
        self._default_zone = default_zone
        self._is_guarded = is_guarded
        self.defaults = DefaultsFiles(
            self._root, display=display, default_zone=default_zone, is_guarded=is_guarded
        )
        self._is_settled = self._is_filled = False
        self._must_walk = True
        self._altered: dict[str, RequestFile | None] = {}
        self._folders: frozenset[str] = frozenset()
        self._explained: set[str] = set()
        self._signatures: dict[str, Signature] = {}
        self._fresh: set[str] = set()
        self._dated: set[str] = set()
        self._inheriting: set[str] = set()

    def take_altered(self) -> dict[str, RequestFile | None] | None:
        """Return what the files held that were read or have gone since the last call.

        The value is None for a new file. Return None instead if these are many.
        """
        altered, self._altered = self._altered, {}
        return altered if len(altered) <= _MOST_ALTERED else None

    def keep(self, relative: str, file: RequestFile) -> None:
        """Store what a file holds and index it."""
        self._note_altered(relative)
        if relative not in self.by_path:
            insort(self.order, relative)
        self.by_path[relative] = file
        if file.signature is None:
            self._signatures.pop(relative, None)
        else:
            self._signatures[relative] = file.signature
        _mark(self.bad, relative, is_in=bool(file.problems))
        _mark(self._fresh, relative, is_in=file.is_fresh)
        _mark(self._dated, relative, is_in=bool(file.reads))
        _mark(self._inheriting, relative, is_in=bool(file.defaults))

    def refresh(self, changed: ChangedPaths | None = None) -> Generator[None, None, None]:
        """Read changed files until another look finds no change.

        The files then show the folder at one moment. Without `changed`, walk the folder.
        """
        paths = changed.take(ends_doubt=True) if changed else None
        found: Found | None = None
        for round_ in range(_ROUNDS):
            if round_ > 0:  # not at the end of a round: what the last one took would be lost
                paths = changed.take() if changed and found else None
            found = self._look_at(paths, *self._explained)
            if not (yield from self._read(found, is_first=round_ == 0)):
                break
        self._explained.clear()
        self._is_settled = True
        self.validated = ValidatedFiles()  # what is left belongs to files that have gone

    @property
    def followed(self) -> frozenset[str]:
        """The absolute paths that the folder's own watch does not cover: links and
        referenced files.
        """
        links = (f"{self._root}/{relative}" for relative in self.links)
        return self.defaults.reads.union(
            links, *(self.by_path[relative].reads for relative in self._dated)
        )

    def glance(self, changed: ChangedPaths | None = None) -> Generator[None, None, bool]:
        """Read each changed file once; return whether any had changed."""
        found = self._look_at(changed.take()) if changed else None
        if changed and found is None:
            changed.doubt()  # also in the scan that follows
        return (yield from self._read(found, is_first=True))

    def _look_at(self, paths: Collection[str] | None, *again: str) -> Found | None:
        """Return what became of these paths; None if only a walk of the folder can tell.

        `paths` are absolute, `again` relative to the folder. A path that is reported as
        changed and is not may be the wrong one.
        """
        is_plain = not (self._must_walk or self.links or self.troubles or self.absence)
        if paths is None or not is_plain or not self.defaults.is_as_read:
            return None
        root = real_path(self._folder).rstrip("/")
        found = look_at(
            {*again, *(path.removeprefix(f"{root}/") for path in paths)},
            self._signatures,
            self._folders,
            root=root,
            is_guarded=self._is_guarded,
        )
        if found is None or not self._explained.issuperset(found.unchanged):
            return None
        self._explained |= found.changed.keys() | found.gone
        return found

    def _read(self, found: Found | None, *, is_first: bool) -> Generator[None, None, bool]:
        """Read what was found, or what a walk finds; return whether any content is new."""
        if found is None:
            return (yield from self._walk(is_first=is_first))
        for relative in found.gone:
            self._forget(relative)
        return (yield from self._read_different(found.changed, is_first=is_first))

    def _walk(self, *, is_first: bool) -> Generator[None, None, bool]:
        """Walk the folder and read each changed file; return whether any content is new."""
        listing = yield from list_files(self._folder, self._signatures, is_guarded=self._is_guarded)
        if isinstance(listing, Absence):
            self.absence = listing.reason
            return False
        self.absence = None
        if listing.troubles != self.troubles:
            self._is_settled = False
        self.troubles, self.links = listing.troubles, listing.links
        self._folders, self._must_walk = listing.folders, False
        yield from self._forget_gone(listing)
        if (yield from self.defaults.refresh(listing)):
            self._is_settled = self._is_filled = False
        changed = {relative: listing.files[relative] for relative in listing.changed}
        return (yield from self._read_different(changed, is_first=is_first))

    def look(self) -> Generator[None, None, bool]:
        """Return, by `stat` alone, whether anything changed since `refresh`."""
        listing = yield from list_files(self._folder, self._signatures, is_guarded=self._is_guarded)
        absence = listing.reason if isinstance(listing, Absence) else None
        if not self._is_settled or absence != self.absence:
            return True
        if isinstance(listing, Absence):
            return False
        if (
            listing.changed
            or len(listing.files) != len(self.by_path)
            or listing.troubles != self.troubles
        ):
            return True
        return (yield from self.defaults.look(listing)) or bool((yield from self._redated()))

    def _forget_gone(self, listing: Listing) -> Generator[None, None, None]:
        """Drop the files that disappeared.

        Equal counts mean that none did, which saves a pass over all files.
        """
        new = sum(relative not in self.by_path for relative in listing.changed)
        if len(listing.files) - new == len(self.by_path):
            return
        gone = []
        for count, relative in enumerate(self.order):
            if relative not in listing.files:
                gone.append(relative)
            if count % _KNOWN_BETWEEN_YIELDS == 0:
                yield
        for relative in gone:
            self._forget(relative)
            yield

    def _note_altered(self, relative: str) -> None:
        if len(self._altered) <= _MOST_ALTERED:
            self._altered.setdefault(relative, self.by_path.get(relative))

    def _forget(self, relative: str) -> None:
        self._note_altered(relative)
        self._signatures.pop(relative, None)
        for marked in (self.bad, self._fresh, self._dated, self._inheriting):
            marked.discard(relative)
        del self.by_path[relative], self.order[bisect_left(self.order, relative)]
        self.is_news, self._is_settled = True, False

    def _read_different(
        self, changed: Mapping[str, Signature], *, is_first: bool
    ) -> Generator[None, None, bool]:
        """Read the changed files, given with signatures; return whether any content is new.

        The first round reads `_fresh` files again, since their timestamps may hide a
        change.
        """
        redated, refilled = (yield from self._redated()), (yield from self._refilled())
        different = sorted({*changed, *redated, *refilled, *(self._fresh if is_first else ())})
        is_any = False
        for relative in different:
            known, place = self.by_path.get(relative), self._place(relative)
            if known is None and (valid := self.validated.take(place, changed[relative])):
                self.keep(relative, valid)
                yield
                continue
            # Imported late: a command on unchanged files never needs YAML.
            from runner.requests.catalog.file_reader import read_file

            file = read_file(place, known)
            if is_another := known is None or not known.is_same(file):
                self._is_settled = False
            is_any |= is_another
            self._must_walk |= file.signature is None  # it has gone, or must be tried again
            self.is_news |= not file.problems
            self.keep(relative, file)
            yield
        self._is_filled = True
        return is_any

    def _redated(self) -> Generator[None, None, list[str]]:
        """Return the files whose dates files (`except`) have changed."""
        redated = []
        for count, relative in enumerate(tuple(self._dated)):
            if reads_differ(self.by_path[relative]):
                redated.append(relative)
            if count % _KNOWN_BETWEEN_YIELDS == 0:
                yield
        return redated

    def _refilled(self) -> Generator[None, None, list[str]]:
        """Return the files that were read with other defaults than the current ones."""
        refilled: list[str] = []
        if self._is_filled or not (self.defaults or self._inheriting):
            return refilled
        for count, relative in enumerate(self.order):
            if (
                self.by_path[relative].defaults
                != self.defaults.around(relative.rpartition("/")[0]).digest
            ):
                refilled.append(relative)
            if count % _KNOWN_BETWEEN_YIELDS == 0:
                yield
        return refilled

    def _place(self, relative: str) -> Place:
        return Place(
            relative=relative,
            display=self._display(relative),
            path=f"{self._root}/{relative}",
            default_zone=self._default_zone,
            defaults=self.defaults.around(relative.rpartition("/")[0]),
            is_guarded=self._is_guarded,
        )


def _mark(marked: set[str], relative: str, *, is_in: bool) -> None:
    (marked.add if is_in else marked.discard)(relative)
