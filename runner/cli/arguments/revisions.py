"""A jobs folder as a git commit has it, extracted into a folder of its own. Runs git,
and leaves the work tree and the index untouched.

Blobs are read raw: no hook, filter, attribute or prompt can interfere. Submodule files
are missing, because they are not in the repository. Symbolic links are extracted as
committed.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.errors import UsageError
from runner.requests.files.bounded_read import LARGEST
from runner.system.regular_files import is_folder, real_path

_PATIENCE_S = 60
_LINK, _SUBMODULE = "120000", "160000"
# A git hook may call us. Git then sets these variables to the hook's own repository,
# while we ask about the repository around a folder.
_LOCATING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
)
# No prompt for a password, no write to the index, no download of missing blobs.
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
# Settings in the repository's own config could otherwise run commands.
_SETTINGS = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.allow=never",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The git repository around a folder. `top` is its work tree. `prefix` is the
    folder's path within it, "." for the whole tree.
    """

    top: Path
    prefix: PurePosixPath

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """Return the repository that contains a folder, which need not exist; None if
        there is none.

        Raises UsageError if git is missing or refuses to read the repository.
        """
        real = Path(real_path(folder))
        present = next(level for level in (real, *real.parents) if is_folder(level))
        done = _run(present, "rev-parse", "--show-toplevel")
        if done.returncode:
            if (
                b"not a git repository" in done.stderr
                or b"must be run in a work tree" in done.stderr
            ):
                return None
            raise UsageError(_words(done))
        top = Path(real_path(os.fsdecode(done.stdout.rstrip(b"\n"))))
        return cls(top=top, prefix=PurePosixPath(real.relative_to(top).as_posix()))

    def commit(self, ref: str) -> str | None:
        """Return the full id of the commit that a ref names, or None. Raises UsageError."""
        done = _run(
            self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
        return None if done.returncode else done.stdout.decode().strip()

    def refs(self) -> list[str]:
        """Return the short names of all branches and tags."""
        done = _run(
            self.top,
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/heads",
            "refs/tags",
            "refs/remotes",
        )
        return os.fsdecode(done.stdout).splitlines()

    def extract(self, commit: str, target: Path, paths: Iterable[PurePosixPath]) -> tuple[str, ...]:
        """Write the files of a commit at or below some paths of its tree into `target`.

        Returns the paths of submodules, whose files are left out. Raises UsageError.
        """
        wanted = [str(path) for path in paths if not path.is_absolute() and ".." not in path.parts]
        if not wanted:
            return ()
        blobs, submodules = self._listed(commit, wanted)
        try:
            _write(self._contents(blobs), target)
        except OSError as error:
            raise UsageError(f"the files of {commit[:12]} cannot be extracted: {error}") from error
        return tuple(submodules)

    def _listed(self, commit: str, paths: list[str]) -> tuple[list[_Blob], list[str]]:
        """Return the blobs and the submodules of a commit at or below some paths."""
        within = [] if "." in paths else ["--", *paths]
        listing = _checked(
            self.top, "--literal-pathspecs", "ls-tree", "-rlz", "--full-tree", commit, *within
        )
        blobs, submodules = [], []
        for line in listing.split(b"\0"):
            # git-ls-tree(1) with -lz: "MODE TYPE ID SIZE\tPATH", without quoting.
            about, _, path = os.fsdecode(line).partition("\t")
            if not path or ".." in PurePosixPath(path).parts:
                continue  # git refuses to commit "..", but a crafted tree may contain it
            mode, _, identity, size = about.split()
            if mode == _SUBMODULE:
                submodules.append(path)
            else:
                blobs.append(
                    _Blob(path=path, is_link=mode == _LINK, identity=identity, size=int(size))
                )
        return blobs, submodules

    def _contents(self, blobs: list[_Blob]) -> Iterator[tuple[_Blob, bytes]]:
        """Yield the blobs with their bytes. Links come last, so that no file is written
        through one.
        """
        ordered = sorted(blobs, key=lambda blob: blob.is_link)
        small = [blob for blob in ordered if blob.size <= LARGEST]
        asked = "".join(f"{blob.identity}\n" for blob in small).encode()
        answer = io.BytesIO(_checked(self.top, "cat-file", "--batch", "--buffer", given=asked))
        # git-cat-file(1) --batch answers each id with a header line, the content and a
        # newline, or with "ID missing".
        for blob in small:
            if answer.readline().endswith(b" missing\n"):
                raise UsageError(
                    f"the repository is a partial clone without {blob.path}; "
                    "`git fetch --refetch` downloads it"
                )
            content = answer.read(blob.size + 1)
            yield blob, content[:-1]
        # The catalog rejects a file above LARGEST by its size, so its content is not needed.
        yield from ((blob, b"") for blob in ordered if blob.size > LARGEST and not blob.is_link)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blob:
    path: str
    is_link: bool
    identity: str
    size: int


def _write(blobs: Iterator[tuple[_Blob, bytes]], target: Path) -> None:
    """Write blobs below `target`. Raises OSError for a tree with conflicting paths."""
    for blob, content in blobs:
        place = target / blob.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if blob.is_link:
            place.symlink_to(os.fsdecode(content))
            continue
        place.write_bytes(content)
        if blob.size > len(content):
            os.truncate(place, blob.size)  # a sparse file: the size without the disk space


def _checked(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = _run(folder, *arguments, given=given)
    if done.returncode:
        raise UsageError(_words(done))
    return done.stdout


def _run(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, with nothing of the caller's repository and no prompt.

    Raises UsageError if git is missing or does not answer within _PATIENCE_S seconds.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _LOCATING}
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=folder,
            env={**environment, **_QUIET, "LC_ALL": "C"},
            input=given,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(
            "a git ref needs git, which is not installed; --against also accepts a folder"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git did not answer within {_PATIENCE_S} s") from None


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = os.fsdecode(done.stderr).strip().splitlines()
    return (
        lines[0].replace("fatal: ", "git: ", 1)
        if lines
        else f"git failed with exit code {done.returncode}"
    )
