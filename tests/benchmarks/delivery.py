"""The ways to deliver a jobs folder, each with its result, and the time from its last
byte until it is in force.

`python tests/benchmarks/delivery.py` prints the table of tests/README.md. Starts and
ends processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import click
from benchmarks.service import RUNNER, Service, end
from support.git import git

from runner.service.registry import remembered
from runner.store.opening import read_store
from runner.store.place import StorePlace

Wanted = Mapping[str, str]
"""What a folder is to say: the description of each request, by its name."""

LATEST_S = 30.0
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_PAUSE_S, _STEPS = 0.02, 60
_HELD_UP_S = 0.1
_NO_INOTIFY = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"',
    "sh",
)


class Site:
    """A work tree cloned from an author's repository; a runner serves its jobs folder."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self.folder = folder
        self.author, self.work, self.trees = folder / "author", folder / "work", folder / "trees"
        for each in (self.author, self.work, self.trees):
            each.mkdir(parents=True)
        self.service = Service(self.work)
        self.jobs = self.service.jobs
        git(self.author, "init", "-q", "-b", "main")
        self.publish(wanted)
        git(self.work, "init", "-q", "-b", "main")
        git(self.work, "remote", "add", "origin", str(self.author))
        git(self.work, "fetch", "-q", "origin")
        git(self.work, "checkout", "-q", "main")
        self.runner: subprocess.Popen[bytes]
        self.longest_pause_s = 0.0

    def pause(self) -> None:
        """Let a writer pause deliberately."""
        with self.at_a_stretch():
            time.sleep(_PAUSE_S)

    @contextmanager
    def at_a_stretch(self) -> Iterator[None]:
        """Note how long a step of a writer takes: on a busy machine the folder may be
        quiet meanwhile.
        """
        begun_s = time.perf_counter()
        yield
        self.longest_pause_s = max(self.longest_pause_s, time.perf_counter() - begun_s)

    def write(self, wanted: Wanted) -> None:
        """Write the wanted files over the existing ones."""
        for name, description in wanted.items():
            with self.at_a_stretch():
                (self.jobs / path_of(name)).write_text(text_of(description))

    def remove_unwanted(self, wanted: Wanted) -> None:
        """Remove all other files."""
        with self.at_a_stretch():
            for path in self.jobs.rglob("*.yaml"):
                if path.stem not in wanted:
                    path.unlink()

    def publish(self, wanted: Wanted) -> str:
        """Commit the wanted files in the author's repository; return the commit's id."""
        shutil.rmtree(self.author / "jobs.d", ignore_errors=True)
        filled(self.author / "jobs.d", wanted)
        git(self.author, "add", "-A")
        git(self.author, "commit", "-q", "-m", "a change")
        return git(self.author, "rev-parse", "HEAD")

    def tree(self, wanted: Wanted) -> Path:
        """Return a git-sync work tree with the wanted files."""
        commit = self.publish(wanted)
        git(self.work, "fetch", "-q", "origin")
        git(self.work, "worktree", "add", "-q", "--detach", str(self.trees / commit), commit)
        return self.trees / commit

    def live(self) -> dict[str, str]:
        """Return the requests that are in force according to the store."""
        with closing(read_store(StorePlace(folder=self.service.state))) as reader:
            requests, _ = remembered(reader.snapshot().requests, zone="UTC")
        return {name: request.description or "" for name, request in requests.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A way to deliver: `deliver` changes the jobs folder to the wanted content, which
    is in force within `bound_s` of its end.

    Without `is_tree` it changes only the file of the first request. `needs` is a
    program.
    """

    name: str
    deliver: Callable[[Site, Wanted], None]
    is_tree: bool = True
    bound_s: float = 1.0
    needs: str = "sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a delivery: the seconds from its last byte to the next reload, and
    the requests in force then.

    A result other than the wanted one proves nothing if the writer `is_held_up` for so
    long that the folder was quiet.
    """

    delivery: Delivery
    files: int
    taken_s: float
    wanted: Wanted
    live: Wanted
    is_held_up: bool

    @property
    def is_right(self) -> bool:
        return self.live == self.wanted


def path_of(name: str) -> str:
    """Return the path of a request's file: every fifth is in a sub-folder."""
    return f"sub/{name}.yaml" if name.endswith(("0", "5")) else f"{name}.yaml"


def text_of(description: str) -> str:
    """Return a request that never fires by itself."""
    return f'description: {description}\nprocess: {{command: ["true"]}}\n'


def filled(folder: Path, wanted: Wanted) -> Path:
    """Write all wanted files into a folder."""
    (folder / "sub").mkdir(parents=True)
    for name, description in wanted.items():
        (folder / path_of(name)).write_text(text_of(description))
    return folder


def flipped(link: Path, target: str | Path) -> None:
    """Rename a new link over the old one, as git-sync and the kubelet do."""
    beside = link.with_name(f"{link.name}_tmp")
    beside.symlink_to(target)
    beside.replace(link)


def first(site: Site, wanted: Wanted) -> tuple[Path, str]:
    """Return the one file to edit, and its new content."""
    name = min(wanted)
    return site.jobs / path_of(name), text_of(wanted[name])


def by_rename(site: Site, wanted: Wanted) -> None:
    path, text = first(site, wanted)
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text)
    beside.replace(path)


def in_pieces(site: Site, wanted: Wanted) -> None:
    path, text = first(site, wanted)
    with path.open("w") as file:
        for piece in text.partition("process"):
            file.write(piece)
            file.flush()
            site.pause()
        file.write("# the last byte\n")


def by_vim(site: Site, wanted: Wanted) -> None:
    """Edit like vim with `backup`: move the old file away, write the new one, remove
    the old one.
    """
    path, text = first(site, wanted)
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    (path.parent / "4913").touch()
    (path.parent / "4913").unlink()
    path.write_text(text)
    backup.unlink()


def by_sed(site: Site, wanted: Wanted) -> None:
    path, text = first(site, wanted)
    line = text.partition("\n")[0]
    subprocess.run(["sed", "-i", f"1s/.*/{line}/", str(path)], check=True, timeout=30)


def by_checkout(site: Site, wanted: Wanted) -> None:
    commit = site.publish(wanted)
    git(site.work, "fetch", "-q", "origin")
    git(site.work, "checkout", "-q", "-B", "main", commit)


def by_pull(site: Site, wanted: Wanted) -> None:
    site.publish(wanted)
    git(site.work, "pull", "-q", "--ff-only", "origin", "main")


def by_rsync(site: Site, wanted: Wanted) -> None:
    source = filled(site.folder / "rsync", wanted)
    later_s = time.time() + 10  # rsync skips files of the same size that changed in the same second
    for path in source.iterdir():
        os.utime(path, (later_s, later_s))
    subprocess.run(
        ["rsync", "-a", "--delete", f"{source}/", f"{site.jobs}/"], check=True, timeout=120
    )


def by_slow_copy(site: Site, wanted: Wanted) -> None:
    """Copy as over a slow line: the folder is never quiet, and half of it is there for
    a long time.
    """
    names = sorted(wanted)
    arriving = site.jobs / ".arriving"
    for number in range(_STEPS):
        begin, end = (len(names) * each // _STEPS for each in (number, number + 1))
        with site.at_a_stretch():
            site.write({name: wanted[name] for name in names[begin:end]})
            arriving.write_text(f"{number}")
            site.pause()
    arriving.unlink()
    site.remove_unwanted(wanted)


def made_again(site: Site, wanted: Wanted) -> None:
    with site.at_a_stretch():
        shutil.rmtree(site.jobs)
        (site.jobs / "sub").mkdir(parents=True)
    site.write(wanted)


def by_overflow(site: Site, wanted: Wanted) -> None:
    """Cause more events than the kernel's queue holds while the runner is stopped, so
    that the wanted one is lost.
    """
    site.runner.send_signal(signal.SIGSTOP)
    try:
        with (site.jobs / ".one").open("wb", 0) as one, (site.jobs / ".two").open("wb", 0) as two:
            for _ in range(int(_QUEUE.read_text()) // 2 + 10):
                one.write(b"x")  # alternately: equal events would be merged
                two.write(b"x")
        in_place(site, wanted)
    finally:
        site.runner.send_signal(signal.SIGCONT)


def in_place(site: Site, wanted: Wanted) -> None:
    site.write(wanted)
    site.remove_unwanted(wanted)


def replaced_by_rename(site: Site, wanted: Wanted) -> None:
    """Replace the folder by one with the layout of a mounted ConfigMap."""
    made = site.folder / "mounted"
    filled(made / "..1", wanted)
    (made / "..data").symlink_to("..1")
    for each in ("sub", *(path for path in map(path_of, wanted) if "/" not in path)):
        (made / each).symlink_to(f"..data/{each}")
    site.jobs.rename(site.folder / "former")
    made.rename(site.jobs)


def by_configmap(site: Site, wanted: Wanted) -> None:
    """Update as the kubelet does: new links for new keys, the flip, then removal of
    dead links.
    """
    filled(site.jobs / "..2", wanted)
    paths = {path for path in map(path_of, wanted) if "/" not in path}
    flipped(site.jobs / "..data", "..2")
    for path in paths:
        if not (site.jobs / path).is_symlink():
            (site.jobs / path).symlink_to(f"..data/{path}")
    for link in site.jobs.glob("*.yaml"):
        if link.name not in paths:
            link.unlink()
    shutil.rmtree(site.jobs / "..1")


def replaced_by_link(site: Site, wanted: Wanted) -> None:
    flipped(site.folder / "current", site.tree(wanted))
    site.jobs.rename(site.folder / "configmap")
    site.jobs.symlink_to(site.folder / "current" / "jobs.d")


def by_git_sync(site: Site, wanted: Wanted) -> None:
    former = (site.folder / "current").resolve()
    flipped(site.folder / "current", site.tree(wanted))
    git(site.work, "worktree", "remove", "--force", str(former))


def by_flip(site: Site, wanted: Wanted) -> None:
    flipped(site.jobs, filled(site.folder / "flipped", wanted))


DELIVERIES = (
    Delivery(name="`git checkout` of another commit", deliver=by_checkout, needs="git"),
    Delivery(name="`git pull`", deliver=by_pull, needs="git"),
    Delivery(name="an editor: temporary file and rename", deliver=by_rename, is_tree=False),
    Delivery(name="an editor: truncate, write in pieces", deliver=in_pieces, is_tree=False),
    Delivery(name="vim: rename to a backup, write, remove it", deliver=by_vim, is_tree=False),
    Delivery(name="`sed -i`", deliver=by_sed, is_tree=False, needs="sed"),
    Delivery(name="`rsync -a --delete`", deliver=by_rsync, needs="rsync"),
    Delivery(name="a slow copy, file by file, for 1.2 s", deliver=by_slow_copy),
    Delivery(name="the folder removed and made again", deliver=made_again),
    Delivery(
        name="notifications lost: the kernel's queue overflows", deliver=by_overflow, bound_s=6.0
    ),
    Delivery(name="the folder replaced by rename", deliver=replaced_by_rename),
    Delivery(name="Kubernetes ConfigMap: `..data` flipped", deliver=by_configmap),
    Delivery(
        name="the folder replaced by a link to another", deliver=replaced_by_link, needs="git"
    ),
    Delivery(name="git-sync: worktree and link flipped", deliver=by_git_sync, needs="git"),
    Delivery(name="a linked jobs folder, the link flipped", deliver=by_flip),
)
UNNOTIFIED = Delivery(
    name="no notifications (no inotify): looked for", deliver=in_place, bound_s=2.5
)


def version(number: int, files: int) -> dict[str, str]:
    """Return that many requests of a version: from one version to the next all differ,
    one is removed and one added.
    """
    return {f"r{each:04}": f"version {number}" for each in range(number, number + files)}


def deliver_all(folder: Path, files: int) -> Iterator[Outcome]:
    """Serve one jobs folder, and deliver to it in all ways, one after another."""
    numbers = count()
    wanted = version(next(numbers), files)
    site = Site(folder, wanted)
    with site.service.running() as site.runner:
        for delivery in filter(is_possible, DELIVERIES):
            is_done = False
            while not is_done:
                number = next(numbers)
                wanted = (
                    version(number, files)
                    if delivery.is_tree
                    else {**wanted, min(wanted): f"edited {number}"}
                )
                found = outcome(site, delivery, wanted)
                is_done = not found.is_held_up
                yield found


def is_possible(delivery: Delivery) -> bool:
    """Return whether the delivering program is installed."""
    return shutil.which(delivery.needs) is not None


def can_be_unnotified() -> bool:
    """Return whether this machine lets the test take notifications away."""
    try:
        return (
            subprocess.run(
                [*_NO_INOTIFY, "true"], capture_output=True, timeout=30, check=False
            ).returncode
            == 0
        )
    except OSError:
        return False


def deliver_unnotified(folder: Path, files: int) -> Outcome:
    """Deliver where the runner gets no notifications."""
    site = Site(folder, version(0, files))
    with _without_inotify(site.service) as site.runner:
        return outcome(site, UNNOTIFIED, version(1, files))


def outcome(site: Site, delivery: Delivery, wanted: Wanted) -> Outcome:
    """Deliver, wait for the next reload, and return what is in force then."""
    service = site.service
    since, site.longest_pause_s = service.log.stat().st_size, 0.0
    delivery.deliver(site, wanted)
    begun_s = time.perf_counter()
    service.wait_for(
        site.runner, lambda: service.records("runner.reloaded", since=since), within_s=LATEST_S
    )
    taken_s, live = time.perf_counter() - begun_s, site.live()
    found = Outcome(
        delivery=delivery,
        files=len(wanted) if delivery.is_tree else 1,
        taken_s=taken_s,
        wanted=wanted,
        live=live,
        is_held_up=live != wanted and site.longest_pause_s > _HELD_UP_S,
    )
    if found.is_held_up:
        service.wait_for(
            site.runner, lambda: site.live() == wanted, within_s=LATEST_S, every_s=_PAUSE_S
        )
    return found


@contextmanager
def _without_inotify(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """Run a runner in a user namespace that allows no inotify instance."""
    runner = subprocess.Popen(
        [*_NO_INOTIFY, *RUNNER, "start"],
        env=service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        service.wait_for(runner, lambda: service.records("runner.started"), within_s=LATEST_S)
        yield runner
    finally:
        end(runner)


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the measurements as a Markdown table with a row for each delivery."""
    taken: dict[str, list[Outcome]] = {}
    for each in outcomes:
        taken.setdefault(each.delivery.name, []).append(each)
    lines = ["| delivered by | files | least | median | most |", "|---|---:|---:|---:|---:|"]
    for name, found in taken.items():
        times = [each.taken_s for each in found]
        is_right = all(each.is_right for each in found)
        most = f"{max(times):.2f} s" if is_right else "WRONG CATALOG"
        lines.append(
            f"| {name} | {found[0].files:,} | {min(times):.2f} s | "
            f"{statistics.median(times):.2f} s | {most} |"
        )
    return "\n".join(lines)


@click.command()
@click.option(
    "--files",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Request files in the folder.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How often each is delivered.",
)
def main(files: int, rounds: int) -> None:
    """Measure the time from the last byte of a delivery until the catalog is in force,
    for each way to deliver.

    Exit code 1 if the catalog in force differed from the delivered one, or came too
    late.
    """
    outcomes: list[Outcome] = []
    load = os.getloadavg()[0]
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="runner-delivery-") as folder:
            click.echo(f"round {number + 1} of {rounds} …", err=True)
            notified = deliver_all(Path(folder) / "notified", files)
            outcomes += [each for each in notified if not each.is_held_up]
            if can_be_unnotified():
                outcomes.append(deliver_unnotified(Path(folder) / "unnotified", files))
    click.echo(table(outcomes))
    click.echo(
        (
            f"{rounds} rounds; load average {load:.1f} → {os.getloadavg()[0]:.1f} on "
            f"{os.cpu_count()} cores"
        ),
        err=True,
    )
    sys.exit(not all(each.is_right and each.taken_s <= each.delivery.bound_s for each in outcomes))


if __name__ == "__main__":
    main()
