"""`runner web` and `runner start --web` as processes: sockets, refusals, deaths, slow clients."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from support.fork_server import Process
from support.place import SECONDLY, Place, check_log, wait_until

from runner.errors import RefusedError, UsageError
from runner.requests.file_settings import WebSettings
from runner.web.listening import address_in, require_safe

DAILY = {"schedule": {"frequency": "daily", "at": "02:00"}}
ANY_PORT = ("--listen", "127.0.0.1:0")
PATIENCE_S = 60.0


@contextmanager
def serving(place: Place, *arguments: str) -> Iterator[tuple[Process, str]]:
    """Start `runner web`; yield it, and its URL once it serves."""
    console = place.folder / "web.console"
    with console.open("wb") as file:
        process = begun(place, file.fileno(), *arguments)
    url = wait_until(lambda: served_in(console.read_text()), within_s=PATIENCE_S, what="the page")
    try:
        yield process, url
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=PATIENCE_S)


def begun(place: Place, descriptor: int, *arguments: str) -> Process:
    from support import fork_server

    process = fork_server.start(
        ("web", *arguments),
        environment=place.environment,
        folder=place.folder,
        streams=(descriptor, descriptor, descriptor),
    )
    place.running.append(process)
    return process


def served_in(text: str) -> str | None:
    found = re.search(r"the page is served on (\S+)", text)
    return found.group(1) if found else None


def token(place: Place, *options: str) -> dict[str, str]:
    done = place.run("token", "add", "maria", *options)
    assert done.returncode == 0, done.stderr
    return {"authorization": f"Bearer {done.stdout.strip()}"}


def test_the_page_needs_a_login_and_a_signal_ends_it_in_order(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    header = token(place)
    with serving(place, *ANY_PORT) as (process, url):
        assert httpx2.get(url).headers["location"].startswith("/login")
        assert "nightly" in httpx2.get(url, headers=header).text
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) > own, "it yields to the runner"
        assert httpx2.get(f"{url}healthz").text == "alive\n"
        assert httpx2.get(f"{url}readyz").status_code == 503, "no runner is running"
        runner = place.start()
        ready = wait_until(lambda: httpx2.get(f"{url}readyz").status_code == 200)
        assert ready
        assert place.stop(runner) == 0
        assert place.run("token", "remove", "maria").returncode == 0
        assert httpx2.get(url, headers=header).status_code == 303
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0


def test_a_terminal_gets_a_link_that_logs_in_once_and_a_log_does_not(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    with place.on_terminal("web", *ANY_PORT) as terminal:
        link = wait_until(
            lambda: re.search(r"log in once, within an hour: (\S+)", terminal.shown()),
            within_s=PATIENCE_S,
        ).group(1)
        with httpx2.Client(follow_redirects=False) as browser:
            assert browser.get(link).status_code == 200
            assert "nightly" in browser.get(link.partition("login")[0]).text
        assert httpx2.get(link).status_code == 403
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 0
    with serving(place, *ANY_PORT):
        console = place.folder / "web.console"
        wait_until(lambda: "runner token add" in console.read_text())
        assert "code=" not in console.read_text()


def test_a_console_that_nobody_reads_does_not_hold_up_the_page(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with ExitStack() as resources:
        resources.callback(os.close, reading)
        process = begun(place, writing, *ANY_PORT)
        os.close(writing)
        read = b""
        while (url := served_in(read.decode())) is None or not read.endswith(b"\n"):
            read += os.read(reading, 4096)
        client = resources.enter_context(httpx2.Client(headers={"host": "evil.example"}))
        for _ in range(100):
            assert client.get(f"{url}{'x' * 200}").status_code == 403, "it reports each refusal"
        assert client.get(f"{url}healthz", headers={"host": "localhost"}).text == "alive\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0


def test_a_unix_socket_is_for_its_owner_alone_and_needs_no_login(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    path = place.folder / "web.sock"
    with serving(place, "--socket", str(path)) as (process, _):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        transport = httpx2.HTTPTransport(uds=str(path))
        with httpx2.Client(transport=transport, base_url="http://localhost") as local:
            assert "nightly" in local.get("/").text
            evil = {"origin": "https://evil.example"}
            assert local.post("/confirm/reload", headers=evil).status_code == 403
            assert local.get("/", headers={"host": "evil.example"}).status_code == 403
        process.kill()
        process.wait(timeout=PATIENCE_S)
        with serving(place, "--socket", str(path)) as (other, _):  # takes over what is left
            done = place.run("web", "--socket", str(path))
            assert (done.returncode, "cannot listen" in done.stderr) == (1, True)
            other.send_signal(signal.SIGTERM)
            assert other.wait(timeout=PATIENCE_S) == 0
            assert not path.exists()


def test_a_proxy_may_not_open_the_socket_to_everybody(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    path = place.folder / "web.sock"
    with serving(place, "--socket", str(path), "--behind-proxy"):
        transport = httpx2.HTTPTransport(uds=str(path))
        with httpx2.Client(transport=transport, base_url="http://localhost") as local:
            assert local.get("/").headers["location"].startswith("/login")


def test_an_address_of_others_needs_encryption_and_tokens(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    done = place.run("web", "--listen", "0.0.0.0:0")
    assert (done.returncode, "--tls-cert" in done.stderr) == (1, True)
    done = place.run("web", "--listen", "0.0.0.0:0", "--behind-proxy")
    assert (done.returncode, "`runner token add" in done.stderr) == (1, True)
    header = token(place)
    with serving(place, "--listen", "0.0.0.0:0", "--behind-proxy") as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        assert httpx2.get(f"http://127.0.0.1:{port}/", headers=header).status_code == 200


def test_the_page_is_served_over_tls(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    header = token(place)
    pem = place.folder / "web.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", pem, "-out",
         place.folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    with pem.open("a") as file:
        file.write((place.folder / "cert.pem").read_text())
    with serving(place, *ANY_PORT, "--tls-cert", str(pem)) as (_, url):
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(place.folder / "cert.pem"))
        secure = url.replace("127.0.0.1", "localhost")
        secret = header["authorization"].removeprefix("Bearer ")
        done = httpx2.post(f"{secure}login", data={"token": secret}, verify=trusted)
        assert "Secure" in done.headers["set-cookie"]
    refused = place.run("web", "--tls-cert", str(place.folder / "nothing.pem"))
    assert (refused.returncode, "nothing.pem" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "80",
        "localhost",
        "localhost:x",
        "localhost:99999",
        "http://localhost:80",
        "a@b:80",
        "[::1",
        "a b:80/",
    ],
)
def test_an_address_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        address_in(text)


@pytest.mark.parametrize(
    ("text", "settings", "has_tokens", "is_safe"),
    [
        ("127.0.0.1:80", WebSettings(), False, True),
        ("[::1]:80", WebSettings(), False, True),
        ("localhost:80", WebSettings(), False, True),
        ("0.0.0.0:80", WebSettings(), True, False),
        ("[::]:80", WebSettings(), True, False),
        ("runner.example:80", WebSettings(), True, False),
        ("runner.example:80", WebSettings(behind_proxy=True), False, False),
        ("runner.example:80", WebSettings(behind_proxy=True), True, True),
        ("10.0.0.7:80", WebSettings(tls_cert=Path("a.pem")), True, True),
    ],
)  # fmt: skip
def test_only_a_loopback_address_is_safe_by_itself(
    text: str, settings: WebSettings, has_tokens: bool, is_safe: bool
) -> None:
    if is_safe:
        require_safe(address_in(text), settings, has_tokens=has_tokens)
    else:
        with pytest.raises(RefusedError):
            require_safe(address_in(text), settings, has_tokens=has_tokens)


# --- as a child of the runner
# ---------------------------------------------------------------------------------


def url_in(console: str, *, after: int = 0) -> str | None:
    found = re.findall(r"the page is served on (\S+)", console)
    return found[-1] if len(found) > after else None


def test_a_runner_starts_its_page_again_and_ends_it(place: Place) -> None:
    place.declare("tick", "true", SECONDLY)
    header = token(place)
    runner = place.start("--web", "127.0.0.1:0")
    url = wait_until(lambda: url_in(place.console()), within_s=PATIENCE_S)
    wait_until(lambda: httpx2.get(f"{url}readyz").status_code == 200)
    assert "tick" in httpx2.get(url, headers=header).text
    (page,) = pages_of(runner.pid)
    os.kill(page, signal.SIGKILL)
    wait_until(lambda: "the page ended, signal 9" in place.console())
    again = wait_until(lambda: url_in(place.console(), after=1), within_s=PATIENCE_S)
    assert httpx2.get(f"{again}healthz").status_code == 200
    place.await_finished("tick", count=2, status="success")
    (page,) = pages_of(runner.pid)
    assert place.stop(runner) == 0
    assert not Path(f"/proc/{page}").exists()
    check_log(place.log)


def test_a_restart_into_the_installed_program_starts_the_page_anew(place: Place) -> None:
    place.declare("tick", "true", SECONDLY)
    runner = place.start("--web", "127.0.0.1:0")
    wait_until(lambda: url_in(place.console()), within_s=PATIENCE_S)
    (page,) = pages_of(runner.pid)
    assert place.run("restart").returncode == 0
    url = wait_until(lambda: url_in(place.console(), after=1), within_s=PATIENCE_S)
    wait_until(lambda: httpx2.get(f"{url}readyz").status_code == 200)
    assert not is_running(page)
    assert len(pages_of(runner.pid)) == 1
    assert place.stop(runner) == 0


def test_a_page_that_cannot_start_harms_no_execution(place: Place) -> None:
    place.declare("tick", "true", SECONDLY)
    runner = place.start("--web", "0.0.0.0:0")  # without tokens, it refuses
    wait_until(lambda: "the page ended, exit code 1" in place.console(), within_s=PATIENCE_S)
    assert "--tls-cert" in place.console()
    place.await_finished("tick", count=2, status="success")
    assert place.stop(runner) == 0
    check_log(place.log)


def test_a_page_ends_with_a_runner_that_is_killed(place: Place) -> None:
    place.declare("nightly", "true", DAILY)
    runner = place.start("--web", "127.0.0.1:0")
    wait_until(lambda: url_in(place.console()), within_s=PATIENCE_S)
    (page,) = pages_of(runner.pid)
    runner.kill()
    wait_until(lambda: not is_running(page), within_s=PATIENCE_S, what="the end of the page")


def pages_of(runner: int) -> list[int]:
    """Return the pids of the runner's children that are `runner web`."""
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    return [
        int(each)
        for each in children
        if b"sys.argv[:1] = ['runner']" in (line := Path(f"/proc/{each}/cmdline").read_bytes())
        and b"\0web\0" in line
    ]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- many open pages, and hostile clients
# ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticking:
    """A runner with a request that runs each second, and with its page."""

    place: Place
    runner: Process
    url: str
    header: str

    @property
    def address(self) -> tuple[str, int]:
        """Where the page listens."""
        host, port = re.findall(r"//(.*):(\d+)/", self.url)[0]
        return host, int(port)

    def await_ticks(self) -> None:
        """Wait until the request has run again, and once more."""
        seen = len(self.place.finished("tick"))
        self.place.await_finished("tick", count=seen + 2, status="success")


@pytest.fixture(scope="module")
def ticking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticking]:
    place = Place(tmp_path_factory.mktemp("ticking"))
    place.declare("tick", "true", SECONDLY)
    header = token(place)["authorization"]
    runner = place.start("--web", "127.0.0.1:0")
    url = wait_until(lambda: url_in(place.console()), within_s=PATIENCE_S)
    yield Ticking(place=place, runner=runner, url=url, header=header)
    assert {each["status"] for each in place.finished("tick")} == {"success"}
    assert place.stop(runner) == 0
    check_log(place.log)


def test_five_hundred_open_event_streams_cost_the_loop_nothing(ticking: Ticking) -> None:
    """Each stream is open and gets events, the runner is idle meanwhile, and nothing is late."""
    header = ticking.header
    asked = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {header}\r\n\r\n"
    with ExitStack() as clients:
        streams = []
        for _ in range(500):
            stream = clients.enter_context(socket.create_connection(ticking.address, timeout=60))
            stream.sendall(asked.encode())
            streams.append(stream)
        for stream in streams:
            assert received(stream, b"HTTP/1.1 200").startswith(b"HTTP/1.1 200")
        open_files = len(list(Path(f"/proc/{ticking.runner.pid}/fd").iterdir()))
        ticking.await_ticks()
        for stream in streams[::100]:
            assert b"execution.finished" in received(stream, b"execution.finished")
        assert open_files < 100, "no stream is a connection of the runner"


def received(client: socket.socket, until: bytes) -> bytes:
    """Return what a server sends, up to a text."""
    answer = b""
    while until not in answer and (part := client.recv(65536)):
        answer += part
    return answer


def test_many_slow_clients_keep_nobody_else_waiting(ticking: Ticking) -> None:
    """Each sends a part of a request and then nothing; one more gets its answer."""
    with ExitStack() as clients:
        for number in range(500):
            client = clients.enter_context(socket.create_connection(ticking.address, timeout=30))
            part = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n"
            client.sendall(part if number % 2 else part + b"\r\ntoken=")
        assert httpx2.get(f"{ticking.url}healthz", timeout=PATIENCE_S).status_code == 200
        ticking.await_ticks()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
        b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"a=b; " * 5000 + b"\r\n\r\n",
    ],
    ids=["header", "path", "two hosts", "no host", "tls", "smuggling", "cookies"],
)
def test_a_malformed_request_is_refused_and_the_page_goes_on(page: str, sent: bytes) -> None:
    host, port = re.findall(r"//(.*):(\d+)/", page)[0]
    with socket.create_connection((host, int(port)), timeout=30) as client:
        try:
            client.sendall(sent)
            answer = client.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    assert re.match(rb"HTTP/1.1 (303|4\d\d) |$", answer), answer
    assert httpx2.get(f"{page}healthz").status_code == 200


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = Place(tmp_path_factory.mktemp("page"))
    place.declare("nightly", "true", DAILY)
    with serving(place, *ANY_PORT) as (_, url):
        yield url
