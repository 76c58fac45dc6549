"""Random surroundings of a jobs folder (files of any kind, size and mode), and commands
in them.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click
from support.forked_commands import FOREIGN_UID, Case
from support.git import commit_all, git

from runner.cli.group import cli
from runner.system import shortage

HUGE = 1 << 41
"""The size of a sparse file that no program could read to its end, in bytes."""
_HANG_S = 60.0
LOOK_S = 1.5
"""How long a command that runs until it is stopped is watched, in seconds."""
_REQUEST = "process: {shell: echo hello}\ntiming: {schedule: {frequency: daily, at: '02:00'}}\n"
_CONTENTS = (
    _REQUEST.encode(), b"", b"\0\xff" * 50, b"[" * 30_000, b"a: &a [*a]\n",
    b"process: {shell: [}\n", b"{}\n", b"name: a\nprocess: {python: 'os:getcwd'}\n",
    b"* * * * * true\n", b"gitdir: ../elsewhere\n", b"9" * 5_000,
    b"process: {group: {members: [{request: a}]}}\n",
    b"process: {shell: 'true', environment_file: ../settings}\n",
    b'{"event": "execution.finished", "v": 1, "execution": "a", "request": "a"}\n', b"\n" * 3_000,
    b"timing: {schedule: {frequency: daily, at: '01:00', except: dates.txt}}\n"
    b"process: {shell: 'true'}\n",
    b"state: ../state\nmax_running: 1\n", b"timezone: Nowhere/Here\n", b"ref: refs/heads/main\n",
    b"a" * 70_000,
)  # fmt: skip
_TEXTS = (
    "a",
    "a",
    "a",
    "b",
    "b",
    "nothing",
    "2h",
    "2026-01-01",
    "*/5 * * * *",
    "\udcff",
    "x" * 3000,
    "019",
)
_MODES = (0o000, 0o111, 0o444, 0o555, 0o644, 0o755, 0o755, 0o777)
_NAMES = (
    b"a.yaml", b"b.yml", b"_defaults.yaml", b"dates.txt", b".hidden.yaml", b"sub",
    b"\xff\xfe.yaml", b"new\nline.yaml", b"\x1b[31mred.yaml", b"n" * 250 + b".yaml", b"-rf.yaml",
    b"caf\xc3\xa9.yaml", b"..data", b"\xe2\x80\xae.yaml",
)  # fmt: skip


def _huge(path: Path, _: random.Random) -> None:
    with path.open("wb") as file:
        file.write(b"ref: refs/heads/main")
        file.truncate(HUGE)


def _socket(path: Path, _: random.Random) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # Bind through /proc, because the address of a socket has at most 107 bytes.
        here = os.open(path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):
                listener.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


def _folder(path: Path, rng: random.Random) -> None:
    path.mkdir()
    for name in rng.sample(_NAMES, rng.randint(0, 4)):
        with suppress(OSError):
            put(path / os.fsdecode(name), rng, kinds=_LEAVES)


def _deep(path: Path, _: random.Random) -> None:
    path.mkdir()
    with suppress(OSError):
        for _level in range(40):
            path = path / ("d" * 80)
            path.mkdir()
        (path / "a.yaml").write_text(_REQUEST)


def _link_to(target: str) -> Callable[[Path, random.Random], None]:
    return lambda path, _: path.symlink_to(target)


_LEAVES: tuple[Callable[[Path, random.Random], object], ...] = (
    lambda path, rng: path.write_bytes(rng.choice(_CONTENTS)),
    lambda path, _: path.write_text(_REQUEST),
    _huge,
    lambda path, _: os.mkfifo(path),
    _socket,
    lambda path, _: path.symlink_to(path.name),
    _link_to("/dev/zero"),
    _link_to("/dev/full"),
    _link_to("/dev"),
    _link_to("/proc/self/mem"),
    _link_to("nowhere"),
    _link_to(".."),
    _link_to("/" + "x" * 300),
)
_KINDS = (*_LEAVES, _folder, _folder, _deep)


def put(
    path: Path,
    rng: random.Random,
    *,
    kinds: tuple[Callable[[Path, random.Random], object], ...] = _KINDS,
) -> None:
    """Replace what is at a path with something random, in a random mode."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    with suppress(FileNotFoundError):
        path.unlink()
    rng.choice(kinds)(path, rng)
    if not path.is_symlink() and rng.random() < 0.3:
        path.chmod(rng.choice(_MODES))


class Surrounding:
    """A folder with a repository around a jobs folder, and a state folder; both may be odd."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.jobs = self.repository / "jobs.d"
        self.state = folder / "state"
        self.log = self.state / "monitor.jsonl"
        self._rng = rng

    def build(self, used_state: Path | None) -> None:
        """Create the folder, with a copy of a used state folder, and make parts of it odd."""
        rng = self._rng
        self.jobs.mkdir(parents=True)
        (self.jobs / "a.yaml").write_text(_REQUEST)
        (self.jobs / "b.yaml").write_text("process: {request: a}\n")
        (self.repository / "settings").write_text("A=1\n")
        self._git()
        if used_state and rng.random() < 0.7:
            shutil.copytree(
                used_state, self.state, symlinks=True, ignore=shutil.ignore_patterns("wake")
            )
            os.mkfifo(self.state / "wake")
        for name in rng.sample(_NAMES, rng.randint(0, 3)):
            with suppress(OSError):
                put(self.jobs / os.fsdecode(name), rng)
        for path in rng.sample(self._places(), rng.randint(0, 3)):
            with suppress(OSError):
                put(path, rng)
        self._change_owners()
        for path in (self.jobs, self.repository, self.state, self.folder / "cwd"):
            if rng.random() < 0.2 and not path.is_symlink() and path.exists():
                path.chmod(rng.choice(_MODES))

    def cases(self) -> Iterator[Case]:
        """Yield each command once, with random arguments, user and environment."""
        for path, command in all_commands(cli, ()):
            yield self._case((*path, *self._arguments(command)))

    def _case(self, arguments: tuple[str, ...]) -> Case:
        rng = self._rng
        environment = {"PATH": os.environ["PATH"], "TZ": "UTC"}
        if rng.random() < 0.9:
            environment |= {"RUNNER_JOBS": str(self.jobs), "RUNNER_STATE": str(self.state)}
        if rng.random() < 0.8:
            environment["HOME"] = rng.choice(
                [str(self.folder / "home"), "", "relative", "/dev/null"]
            )
        if rng.random() < 0.2:
            environment["RUNNER_MONITOR_LOG"] = str(rng.choice(self._places()))
        if rng.random() < 0.1:
            environment["TZ"] = rng.choice(
                ["Nowhere", ":", "/dev/null", "\udcff", "../../etc/passwd", "A" * 5000]
            )
        if rng.random() < 0.1:
            environment[rng.choice(["STATE_DIRECTORY", "LOGS_DIRECTORY", "XDG_STATE_HOME"])] = (
                "relative"
            )
        if rng.random() < 0.1:
            del environment["PATH"]
        streams: dict[str, str | None] = {}
        if rng.random() < 0.15:
            streams[rng.choice(["stdin", "stdout", "stderr"])] = rng.choice([None, "/dev/full"])
        cwd = self.folder / "cwd"
        cwd.mkdir(exist_ok=True)
        is_inside = rng.random() < 0.5
        uid = rng.choice([0, FOREIGN_UID])
        if "RUNNER_STATE" not in environment and not environment.get("HOME", "").startswith("/"):
            uid = FOREIGN_UID  # root's own state folder, in its home, is no place for a test
        return Case(
            arguments=arguments,
            cwd=str(cwd if is_inside else self.folder),
            is_cwd_removed=is_inside and not any(cwd.iterdir()) and rng.random() < 0.2,
            environment=environment,
            uid=uid,
            streams=streams,
            term_after_s=LOOK_S if goes_on(arguments) else _HANG_S,
            kill_after_s=_HANG_S,
        )

    def _arguments(self, command: click.Command) -> list[str]:
        rng, words = self._rng, []
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                if parameter.required or rng.random() < 0.5:
                    words.append(self._value(parameter.type))
            elif isinstance(parameter, click.Option) and rng.random() < 0.05:
                words.append(parameter.opts[0])
                if not parameter.is_flag and not parameter.count:
                    words.append(self._value(parameter.type))
        return words

    def _value(self, kind: object) -> str:
        rng = self._rng
        if isinstance(kind, click.Choice):
            return str(rng.choice(kind.choices))
        if isinstance(kind, click.Path):
            return str(
                rng.choice(
                    [*self._places(), self.jobs / "a.yaml", self.jobs / "b.yaml", Path("relative")]
                )
            )
        if isinstance(kind, click.types.IntParamType):
            return rng.choice(["1", "3", "-1", "x"])
        return rng.choice(_TEXTS)

    def _places(self) -> list[Path]:
        state, git = self.state, self.repository / ".git"
        names = (
            "store.sqlite3",
            "store.sqlite3-wal",
            "lock",
            "wake",
            "outputs",
            "catalog.jsonl",
            "catalog.jsonl.new",
        )
        return [
            self.jobs, self.repository / "runner.yaml", git, git / "HEAD", git / "packed-refs",
            git / "index", git / "index.lock", git / "refs", state, self.log,
            *(state / name for name in names), self.folder / "home",
            self.repository / "settings", self.jobs / "_defaults.yaml", self.jobs / "a.yaml",
        ]  # fmt: skip

    def _git(self) -> None:
        kind = self._rng.choice(["none", "repository", "worktree", "submodule", "broken"])
        if kind == "none":
            return
        git(self.repository, "init", "-q")
        commit_all(self.repository, "first")
        inside = self.repository / ".git"
        if kind == "worktree":
            aside = self.folder / "main.git"
            inside.rename(aside)
            inside.write_text(f"gitdir: {aside}\n")
        elif kind == "submodule":
            (self.folder / "modules").mkdir()
            inside.rename(self.folder / "modules" / "one")
            inside.write_text("gitdir: ../modules/one\n")
        elif kind == "broken":
            shutil.rmtree(inside / "objects")

    def _change_owners(self) -> None:
        """Give all files to root or to the other user, at random."""
        owner = self._rng.choice([0, FOREIGN_UID])
        for parent, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                os.chown(f"{parent}/{name}", owner, owner, follow_symlinks=False)
        os.chown(self.folder, owner, owner)


def all_commands(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of a group and of its subgroups."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


def goes_on(arguments: Sequence[str]) -> bool:
    """Return whether a command runs until it is stopped."""
    return arguments[0] in ("start", "web") or bool({"-f", "--follow"} & set(arguments))


def complaint_about(case: Case, code: int, text: str, *, is_terminated: bool) -> str | None:
    """Return what is wrong with the end of a command; None if nothing is."""
    if "Traceback" in text or "Exception ignored" in text:
        return "a traceback"
    if shortage.MESSAGE.decode() in text:
        return "no bound of memory"
    if is_terminated and not goes_on(case.arguments):
        return "a hang"
    documented = {0, 1, 2, 3, 4, 124, 125} | ({-15} if is_terminated else set())
    if code not in documented:
        return f"exit code {code}"
    if code in {1, 2, 4} and not text.strip() and not ({"stdout", "stderr"} & case.streams.keys()):
        return "a failure without a word"
    return None
