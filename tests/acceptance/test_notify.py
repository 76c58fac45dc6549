"""`runner notify --test`, with receivers that take the message and receivers that do not."""

from __future__ import annotations

import json

from support.place import Place
from support.receiver_world import free_port, mail_server, mailbox, settings, web_server


def test_a_test_message_reaches_a_mailbox(place: Place) -> None:
    with mail_server() as server:
        settings(place, {"ops": mailbox(server)})
        done = place.run("notify", "--test", "ops")
        assert (done.returncode, done.stdout) == (0, "ops took the test message\n")
        mail = server.next()
    assert mail["Subject"].startswith("test message of Runner on ")
    assert "reach the receiver `ops`" in mail.get_content()  # type: ignore[attr-defined]


def test_a_webhook_gets_its_url_from_the_environment_file(place: Place) -> None:
    settings(place, {"chat": {"webhook": {"url_variable": "URL"}}}, environment_file="runner.env")
    missing = place.run("notify", "--test", "chat")
    assert missing.returncode == 1
    assert "runner.env" in missing.stderr
    with web_server() as web:
        (place.jobs.parent / "runner.env").write_text(f"URL={web.url}/hook\n")
        assert place.run("notify", "--test", "chat").returncode == 0
        assert web.next().data["receiver"] == "chat"
        web.behaviour = 500
        refused = place.run("notify", "--test", "chat")
    assert refused.returncode == 1
    said = "chat did not get the test message: the server answered 500 Internal Server Error\n"
    assert refused.stderr == said


def test_a_mistake_is_one_sentence(place: Place) -> None:
    email = {"to": ["a"], "from": "b", "host": "127.0.0.1", "port": free_port()}
    settings(place, {"ops": {"email": email}})
    unknown = place.run("notify", "--test", "opps")
    assert unknown.returncode == 2
    assert "there is no receiver `opps` (did you mean `ops`?)" in unknown.stderr
    refused = place.run("notify", "--test", "ops")
    assert refused.returncode == 1
    assert refused.stderr == "ops did not get the test message: Connection refused\n"
    assert place.run("notify").returncode == 2


def test_validate_reports_a_receiver_that_the_settings_lack(place: Place) -> None:
    settings(place, {"ops": {"command": ["true"]}})
    text = {"process": {"shell": "true"}, "timing": "run_immediately"}
    place.write("good.yaml", json.dumps({**text, "notify": [{"to": "ops"}]}))
    assert place.run("validate").returncode == 0
    place.write("bad.yaml", json.dumps({**text, "notify": [{"to": "opps"}, {"to": "ops"}]}))
    done = place.run("validate")
    assert done.returncode == 1
    assert "bad.yaml:1:1: there is no receiver `opps`" in done.stdout
    assert "1 problem" in done.stderr
    (problem,) = [
        json.loads(line) for line in place.run("validate", "-o", "json").stdout.splitlines()
    ]
    assert (problem["path"], problem["suggestion"]) == ("notify", "did you mean `ops`?")
