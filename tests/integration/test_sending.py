"""The sender, a program of its own, with real servers that are down, slow, hanging or refusing."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from support.place import ROOT
from support.receiver_world import HANG_S, MailServer, WebServer, free_port, mail_server, web_server

from runner.cli.commands.control.notify import _sent
from runner.notifying.sending import sender
from runner.notifying.sending.delivery import Delivery, DeliveryResult, Ping, result_in
from runner.requests.receivers import Apprise, Email, ReceivingProgram, Way, Webhook

PAYLOAD: Mapping[str, Any] = {
    "id": "019a9f3e-8a4f-7aa0-8f5e-6f1c2d3e4f50",
    "receiver": "ops",
    "host": "erp-1",
    "subject": "nightly-posting fails: exit code 3",
    "text": "nightly-posting fails: exit code 3\n\nÜberfällig\n",
    "threads": [],
    "alerts": [{"request": "nightly-posting", "check": "failure"}],
    "alerts_count": 1,
}
MAIL_ID = "<019a9f3e-8a4f-7aa0-8f5e-6f1c2d3e4f50@erp-1>"
SECRET = "hunter2-SECRET"


class Sender:
    """A running sender."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.deliveries: IO[bytes] = process.stdin  # type: ignore[assignment]
        self.results: IO[bytes] = process.stdout  # type: ignore[assignment]

    def give(self, delivery: Delivery) -> None:
        self.deliveries.write(delivery.line())
        self.deliveries.flush()

    def result(self) -> DeliveryResult:
        return result_in(self.results.readline())


@contextmanager
def sending(**variables: str) -> Iterator[Sender]:
    """Run a sender with these variables."""
    process = subprocess.Popen(
        sender.COMMAND,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    with process:
        try:
            yield Sender(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()


def sent(way: Way | Ping, payload: Mapping[str, Any] = PAYLOAD, **variables: str) -> DeliveryResult:
    """Return the result of one delivery."""
    with sending(**variables) as running:
        running.give(Delivery(id="j1", way=way, payload=dict(payload)))
        result = running.result()
    assert result.id == "j1"
    return result


_LIMITS = """
from runner.notifying.sending import http_request, delivery, smtp

http_request._WEBHOOK_S, smtp._SILENCE_S, delivery.DELIVERY_S = 2.0, 1.0, 3.0
"""
"""Runs before the sender: it waits for seconds only."""


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "limits"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_LIMITS)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def post_office() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def to(server: MailServer, *addresses: str, **more: Any) -> Email:
    return Email(
        to=addresses or ("ops@example.org",),
        sender="Runner <runner@example.org>",
        host="127.0.0.1",
        port=server.port,
        **more,
    )


def test_a_mail_has_the_text_and_an_id_that_stays(post_office: MailServer) -> None:
    assert sent(to(post_office)) == sent(to(post_office)) == DeliveryResult(id="j1")
    mail, again = post_office.next(), post_office.next()
    assert (mail["From"], mail["To"]) == ("Runner <runner@example.org>", "ops@example.org")
    assert mail["Subject"] == PAYLOAD["subject"]
    assert mail["Message-ID"] == again["Message-ID"] == MAIL_ID
    assert mail["In-Reply-To"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == PAYLOAD["text"].splitlines()  # type: ignore[attr-defined]


def test_a_mail_says_what_the_message_says_line_by_line(post_office: MailServer) -> None:
    text = "From here\n.\n..\n\tFrom there\n\nÜberfällig " + "x" * 1200 + "\n"
    email = to(post_office, "A <a@example.org>", "b@example.org")
    assert sent(email, {**PAYLOAD, "text": text}) == DeliveryResult(id="j1")
    mail = post_office.next()
    assert mail.get_content().splitlines() == text.splitlines()  # type: ignore[attr-defined]


def test_a_mail_about_a_known_alert_belongs_to_its_thread(post_office: MailServer) -> None:
    assert sent(to(post_office), {**PAYLOAD, "threads": ["first", "second"]}).error is None
    mail = post_office.next()
    assert mail["In-Reply-To"] == "<first@erp-1>"
    assert mail["References"] == "<first@erp-1> <second@erp-1>"


def test_a_message_that_the_server_refuses_is_not_sent(post_office: MailServer) -> None:
    post_office.answer = "451 try later"
    assert sent(to(post_office)).error == "the server answered 451 try later"


def test_a_refused_recipient_is_noted_and_all_refused_ones_are_an_error(
    post_office: MailServer,
) -> None:
    post_office.refused = frozenset({"x@example.org"})
    said = "the server refused x@example.org (550 no such user)"
    assert sent(to(post_office, "x@example.org")).error == said
    assert sent(to(post_office, "x@example.org", "y@example.org")) == DeliveryResult(
        id="j1", note=said
    )
    assert post_office.next()["To"] == "x@example.org, y@example.org"


def certificate_in(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate of 127.0.0.1 and the server's context with it."""
    key, file = folder / "key.pem", folder / "certificate.pem"
    line = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x"
    options = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)]
    subprocess.run([*line.split(), *options], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, key)
    return file, context


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_mail_goes_out_with_starttls_and_login(tmp_path: Path) -> None:
    smtp = pytest.importorskip("aiosmtpd.smtp")
    file, context = certificate_in(tmp_path)
    logins = []

    def authenticate(_s: Any, _session: Any, _e: Any, _m: Any, data: Any) -> Any:
        logins.append((data.login, data.password))
        return smtp.AuthResult(success=data.password == SECRET.encode(), handled=False)

    options = {"tls_context": context, "authenticator": authenticate}
    options |= {"auth_required": True, "auth_exclude_mechanism": ["LOGIN"]}
    with mail_server(**options, require_starttls=True) as server:
        email = to(server, starttls=True, user_variable="U", password_variable="P")
        assert sent(email, U="maria", P=SECRET, SSL_CERT_FILE=str(file)) == DeliveryResult(id="j1")
        assert server.next()["Message-ID"] == MAIL_ID
        assert logins == [(b"maria", SECRET.encode())]
        refused = sent(email, U="maria", P=f"wrong-{SECRET}", SSL_CERT_FILE=str(file)).error
        assert refused is not None
        assert "the server answered 535" in refused
        assert SECRET not in refused
        untrusted = sent(email, U="maria", P=SECRET).error
        assert untrusted is not None
        assert "certificate" in untrusted
        assert server.drained() == []


def test_a_webhook_gets_the_message_as_json_with_its_id(web: WebServer) -> None:
    assert sent(Webhook(url_variable="URL"), URL=f"{web.url}/hook?a=b") == DeliveryResult(id="j1")
    post = web.next()
    assert (post.method, post.path) == ("POST", "/hook?a=b")
    assert post.data == PAYLOAD
    assert post.headers["Idempotency-Key"] == PAYLOAD["id"]
    assert sent(Webhook(url_variable="URL", method="PUT"), URL=web.url).error is None
    assert web.next().method == "PUT"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "the server answered 500 Internal Server Error"),
        (404, "the server answered 404 Not Found"),
        (302, "the server answered 302 Found"),
    ],
)
def test_a_webhook_counts_only_success_as_sent(web: WebServer, status: int, said: str) -> None:
    web.behaviour = status
    assert sent(Webhook(url_variable="URL"), URL=f"{web.url}/{SECRET}").error == said
    assert [post.path for post in web.drained()] == [f"/{SECRET}"]


def test_an_address_where_nobody_listens_is_an_error() -> None:
    port = free_port()
    email = Email(to=("a",), sender="b", host="127.0.0.1", port=port)
    assert sent(email).error == "Connection refused"
    hook = sent(Webhook(url_variable="URL"), URL=f"http://127.0.0.1:{port}/{SECRET}")
    assert hook.error == "Connection refused"
    nowhere = sent(Webhook(url_variable="URL"), URL=f"http://nowhere.invalid/{SECRET}").error
    assert nowhere is not None
    assert SECRET not in nowhere


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "the variable URL is not set; `environment_file` in runner.yaml may supply it"),
        (f"file:///{SECRET}", "the variable URL does not hold an http or https URL"),
        (f"http://[{SECRET}", "the variable URL does not hold an http or https URL"),
        (f"http://a b/{SECRET}", "the variable URL does not hold an http or https URL"),
        (f"http://host:{SECRET}/", "the variable URL does not hold an http or https URL"),
    ],
)
def test_an_error_about_a_url_does_not_show_it(url: str, said: str) -> None:
    error = sent(Webhook(url_variable="URL"), URL=url).error
    assert error == said


def test_an_environment_file_takes_precedence_and_is_masked(web: WebServer, tmp_path: Path) -> None:
    file = tmp_path / "runner.env"
    file.write_text(f"URL={web.url}/{SECRET}\nTOKEN={SECRET}\n")
    hook = Delivery(
        id="j1", way=Webhook(url_variable="URL"), payload=dict(PAYLOAD), environment_file=str(file)
    )
    program = Delivery(
        id="j2",
        way=ReceivingProgram(command=("sh", "-c", 'echo "$TOKEN" >&2; exit 1'), directory=tmp_path),
        payload=dict(PAYLOAD),
        environment_file=str(file),
    )
    with sending(URL="http://nowhere.invalid") as running:
        running.give(hook)
        assert running.result() == DeliveryResult(id="j1")
        running.give(program)
        assert running.result().error == "sh ended with exit code 1: ***"
        file.write_text("this is no variable\n")
        running.give(hook)
        wrong = running.result().error
        assert wrong is not None
        assert "line 1" in wrong
    assert web.next().path == f"/{SECRET}"


def test_a_command_gets_the_message_on_its_input(tmp_path: Path) -> None:
    keeping = ReceivingProgram(command=("sh", "-c", "cat > got.json"), directory=tmp_path)
    assert sent(keeping).error is None
    assert json.loads((tmp_path / "got.json").read_text()) == PAYLOAD
    missing = sent(ReceivingProgram(command=("./page.sh",), directory=tmp_path))
    assert missing.error == "./page.sh could not be started: No such file or directory"
    killed = sent(ReceivingProgram(command=("sh", "-c", "kill -TERM $$"), directory=tmp_path))
    assert killed.error == "sh was ended by signal 15"


def test_without_the_extra_an_apprise_receiver_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError('not installed')")
    result = sent(Apprise(url_variable="URL"), URL="json://x", PYTHONPATH=str(tmp_path))
    assert result.error is not None
    assert result.error.startswith("the extra `alerts` is not installed: ")
    assert result.error.endswith(f"-m pip install -e '{ROOT}[alerts]'")


def test_an_apprise_receiver_gets_title_and_text_whatever_the_library_prints(
    tmp_path: Path,
) -> None:
    """The library itself is an extra. This stands for it, with the same three calls."""
    (tmp_path / "apprise.py").write_text(
        "import json\n"
        "class Apprise:\n"
        "    def add(self, url):\n"
        "        self.url = url\n"
        "        return '://' in url\n"
        "    def notify(self, title, body):\n"
        "        print('a library may print anything', flush=True)\n"
        f"        open({str(tmp_path / 'got.json')!r}, 'w').write(json.dumps([title, body]))\n"
        "        return 'bad' not in self.url\n"
    )
    results = [
        sent(Apprise(url_variable="URL"), URL=url, PYTHONPATH=str(tmp_path)).error
        for url in ("json://good", "json://bad", SECRET)
    ]
    assert results == [
        None,
        "the service did not take the message",
        "the variable URL does not hold an Apprise URL",
    ]
    assert json.loads((tmp_path / "got.json").read_text()) == [PAYLOAD["subject"], PAYLOAD["text"]]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (Ping(url_variable="URL", suffix="/start", execution="e1"), "/key/start?rid=e1"),
        (Ping(url_variable="URL", suffix="/0", execution="e1"), "/key/0?rid=e1"),
        (Ping(url_variable="URL"), "/key"),
    ],
)
def test_a_ping_is_a_get_of_the_url_with_a_suffix(web: WebServer, target: Ping, path: str) -> None:
    assert sent(target, URL=f"{web.url}/key/") == DeliveryResult(id="j1")
    post = web.next()
    assert (post.method, post.path) == ("GET", path)


def test_a_sender_that_dies_is_an_error_of_the_test_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender, "COMMAND", ("false",))
    result = _sent(Delivery(id="ops", way=Ping(url_variable="URL")))
    assert result == DeliveryResult(id="ops", error="the sender died")


def test_a_ping_has_two_more_attempts(web: WebServer) -> None:
    web.behaviour = 503
    result = sent(Ping(url_variable="URL"), URL=f"{web.url}/{SECRET}")
    assert result.error == "the server answered 503 Service Unavailable"
    assert len(web.drained()) == 3


def test_a_hanging_server_does_not_delay_another_job(web: WebServer) -> None:
    web.behaviour = "hangs"
    with web_server() as quick, sending(SLOW=web.url, QUICK=quick.url) as running:
        running.give(Delivery(id="slow", way=Webhook(url_variable="SLOW"), payload=dict(PAYLOAD)))
        web.next()
        running.give(Delivery(id="quick", way=Webhook(url_variable="QUICK"), payload=dict(PAYLOAD)))
        assert running.result() == DeliveryResult(id="quick")
        web.closing.set()
        assert running.result().id == "slow"


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_ends_in_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with sending(URL=f"http://127.0.0.1:{port}/{SECRET}") as running:
            email = Email(to=("a",), sender="b", host="127.0.0.1", port=port)
            running.give(Delivery(id="mail", way=email, payload=dict(PAYLOAD)))
            running.give(
                Delivery(id="hook", way=Webhook(url_variable="URL"), payload=dict(PAYLOAD))
            )
            results = {result.id: result.error for result in (running.result(), running.result())}
    assert results == {"mail": "no answer within 1 s", "hook": "no answer within 2 s"}


@pytest.mark.usefixtures("impatient")
def test_without_a_runner_a_sender_ends_even_if_a_job_hangs(web: WebServer) -> None:
    web.behaviour = "trickles"
    with sending(URL=web.url) as running:
        running.give(Delivery(id="slow", way=Webhook(url_variable="URL"), payload=dict(PAYLOAD)))
        web.next()
        running.process.send_signal(signal.SIGINT)  # Ctrl-C is for the runner
