"""Forks commands of Runner from a process that has loaded the program once.

To load the program takes most of the processor time of a short command. A forked
command is a process of its own, with its own folder, environment, standard streams and
signals. A command whose environment a Python or the C library reads at its start gets a
fresh interpreter instead.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import pkgutil
import re
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

_LATE_IMPORT = re.compile(r"^ +(?:from|import) ([a-z_][\w.]*)", re.MULTILINE)
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "FAKETIME", "MALLOC_", "GLIBC_")
WARNINGS = "error,ignore:Callback with id:RuntimeWarning"
"""What PYTHONWARNINGS is for every command of a test."""
_TESTS = Path(__file__).parents[1]


class Forked:
    """A forked command, with what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[str],
        pid: int,
        status: IO[bytes],
        outputs: tuple[IO[bytes], IO[bytes]] | None,
    ) -> None:
        self.args = ["runner", *arguments]
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = outputs[0] if outputs else None
        self.stderr = outputs[1] if outputs else None
        self._status = status

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._status, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            with self._status:
                self.returncode = int(self._status.read())
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the command still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, *, timeout: float) -> tuple[bytes, bytes]:
        """Read both outputs to their ends and wait; raises subprocess.TimeoutExpired."""
        assert self.stdout
        assert self.stderr
        read: dict[int, bytes] = {self.stdout.fileno(): b"", self.stderr.fileno(): b""}
        until_s = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector, self.stdout, self.stderr:
            for descriptor in read:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(until_s - time.monotonic(), 0.0))
                if not ready and time.monotonic() > until_s:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    read[key.fd] += part
                    if not part:
                        selector.unregister(key.fd)
            self.wait(timeout=max(until_s - time.monotonic(), 0.0))
            return read[self.stdout.fileno()], read[self.stderr.fileno()]


Process = Forked | subprocess.Popen[Any]
"""A command of a test."""


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    streams: tuple[int, int, int] | None = None,
    is_fresh: bool = False,
) -> Process:
    """Start a command of Runner, in a fresh interpreter if the environment needs it.

    `streams` are descriptors for its standard streams. By default its input is empty,
    and both outputs are pipes.
    """
    if is_fresh or _read_at_start(environment) != _read_at_start(_environment()):
        stdin, stdout, stderr = streams or (subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments],
            env=environment,
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
    if streams:
        return _server().fork(arguments, environment, folder, streams)
    with open(os.devnull, "rb") as empty:  # noqa: PTH123
        (out, its_out), (messages, its_messages) = os.pipe(), os.pipe()
        try:
            return _server().fork(
                arguments,
                environment,
                folder,
                (empty.fileno(), its_out, its_messages),
                outputs=(os.fdopen(out, "rb"), os.fdopen(messages, "rb")),
            )
        finally:
            os.close(its_out)
            os.close(its_messages)


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    timeout_s: float,
    is_fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command of Runner to its end. Raises subprocess.TimeoutExpired."""
    process = start(arguments, environment=environment, folder=folder, is_fresh=is_fresh)
    try:
        output, messages = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
        process.wait()
    code = process.returncode
    assert code is not None
    return subprocess.CompletedProcess(process.args, code, output.decode(), messages.decode())


def _environment() -> dict[str, str]:
    """Return the environment that decides how the interpreter of the server starts."""
    return {**os.environ, "PYTHONWARNINGS": WARNINGS}


def server_environment() -> dict[str, str]:
    """Return the environment of a server that is a module of `support`."""
    return {**_environment(), "PYTHONPATH": str(_TESTS)}


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


@functools.cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


class _Server:
    """The process that forks, seen from the tests. It ends with them."""

    def __init__(self) -> None:
        self._connection, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.fork_server", str(its.fileno())],
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )

    def close(self) -> None:
        """End the server."""
        self._connection.close()
        self._process.wait()

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int, int],
        *,
        outputs: tuple[IO[bytes], IO[bytes]] | None = None,
    ) -> Forked:
        """Fork a command, and return when it exists."""
        order = json.dumps([arguments, dict(environment), str(folder)]).encode()
        status, its_status = os.pipe()
        socket.send_fds(self._connection, [order], [*streams, its_status])
        os.close(its_status)
        reported = os.fdopen(status, "rb")
        return Forked(arguments, int(reported.readline()), reported, outputs)


def load_program() -> None:
    """Import everything, with late imports: a command may run as a user who cannot read it."""
    import encodings

    import runner

    for name in ("ascii", "idna", "latin_1", "unicode_escape", "utf_8_sig"):
        import_module(f"{encodings.__name__}.{name}")
    for module in pkgutil.walk_packages(runner.__path__, "runner."):
        if not module.name.endswith(("__main__", ".launcher", ".calling")):
            import_module(module.name)
    for library in ("runner", "click", "yaml", "jsonschema", "loguru", "watchdog"):
        for path in Path(str(import_module(library).__file__)).parent.rglob("*.py"):
            for name in _LATE_IMPORT.findall(path.read_text()):
                with suppress(Exception):  # a module of another system
                    import_module(name)
    _read_a_request()


def _read_a_request() -> None:
    """Make once what every command would make anew: the schemas' validators, expressions."""
    from runner.requests.catalog.cache_file import CacheFile
    from runner.requests.catalog.catalog_reader import CatalogReader

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.yaml").write_text("process: {shell: 'true'}\n")
        reader = CatalogReader(folder, default_zone="UTC", cache=CacheFile(folder))
        reader.recall()
        assert reader.read().requests


def _serve(connection: socket.socket) -> None:
    """Fork a command for each order, and report its end, until the tests end."""
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                os.close(descriptor)
                _report(*running.pop(descriptor))
                continue
            order, descriptors, *_ = socket.recv_fds(connection, 1 << 20, 4)
            if not order:
                return
            child = os.fork()
            if not child:
                _become_command(order, descriptors)
            *streams, status = descriptors
            for stream in streams:
                os.close(stream)
            os.write(status, b"%d\n" % child)
            watched = os.pidfd_open(child)
            running[watched] = child, status
            poll.register(watched, select.POLLIN)


def _report(child: int, status: int) -> None:
    _, waited = os.waitpid(child, 0)
    with suppress(BrokenPipeError):  # a test that failed
        os.write(status, b"%d" % os.waitstatus_to_exitcode(waited))
    os.close(status)


def _become_command(order: bytes, descriptors: Sequence[int]) -> NoReturn:
    code = 1
    try:
        arguments, environment, folder = json.loads(order)
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
        os.closerange(3, 1 << 16)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        sys.argv = ["runner", *arguments]
        # What `runner restart` starts this program with again.
        sys.orig_argv = [sys.executable, "-m", "runner", *arguments]
        sys.path[0] = folder
        _open_streams()
        code = exit_code_of_main()
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
    finally:
        os._exit(code)


def _open_streams() -> None:
    """Open the standard streams as Python does at its start."""
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115


def exit_code_of_main() -> int:
    """Run the command line and end as Python does: threads, exit functions, streams."""
    from runner.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        return 120
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    load_program()
    gc.freeze()  # otherwise each command copies the pages of what it only looks through
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _serve(connection)
