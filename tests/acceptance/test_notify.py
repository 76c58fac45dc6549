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


def test_doctor_reports_the_variables_that_are_not_set_where_the_runner_runs(place: Place) -> None:
    mail = {"to": ["a"], "from": "b", "user_variable": "USER_NAME", "password_variable": "PW"}
    receivers = {"chat": {"webhook": {"url_variable": "HOOK"}}, "ops": {"email": mail}}
    more = {"notify": [{"to": "chat"}], "environment_file": "runner.env"}
    settings(place, receivers, **more, ping={"url_variable": "HOOK"})
    (place.jobs.parent / "runner.env").write_text("USER_NAME=maria\nPW=secret\n")

    def found() -> list[tuple[str, str]]:
        items = place.items("doctor")
        return [(e["level"], e["message"]) for e in items if e["check"] == "receivers"]

    ((level, message),) = found()
    assert (level, message) == (
        "warning",
        "HOOK is not set in the environment of this command (no runner is running);"
        " needed by receiver chat, the runner's ping",
    )
    place.environment["HOOK"] = "http://127.0.0.1:9/"
    place.declare("once", "true", "run_immediately")
    runner = place.launch(is_fresh=True)
    place.await_finished("once")
    del place.environment["HOOK"]
    assert found() == [("ok", "3 variables of receivers, all set")]
    (place.jobs.parent / "runner.env").write_text("USER_NAME=maria\n")
    ((level, message),) = found()
    assert level == "warning"
    where = f"the environment of runner {runner.pid}"
    assert message == f"PW is not set in {where}; needed by receiver ops"
    assert place.stop(runner) == 0


def test_validate_reports_a_receiver_that_the_settings_lack(place: Place) -> None:
    settings(place, {"ops": {"command": ["true"]}})
    text = {"process": {"shell": "true"}, "timing": "run_immediately"}
    place.write("good.yaml", json.dumps({**text, "notify": [{"to": "ops"}]}))
    assert place.run("validate").returncode == 0
    place.write(
        "bad.yaml",
        "process: {shell: 'true'}\ntiming: run_immediately\nnotify:\n  - {to: ops}\n  - to: opps\n",
    )
    done = place.run("validate")
    assert done.returncode == 1
    assert "bad.yaml:5:9: there is no receiver `opps`" in done.stdout
    assert "1 problem" in done.stderr
    (problem,) = [
        json.loads(line) for line in place.run("validate", "-o", "json").stdout.splitlines()
    ]
    assert (problem["path"], problem["suggestion"]) == ("notify[1].to", "did you mean `ops`?")


def test_a_receiver_that_defaults_name_wrongly_is_reported_once_in_their_file(place: Place) -> None:
    settings(place, {"ops": {"command": ["true"]}})
    for name in ("one", "two"):
        place.declare(f"team/{name}", "true", "run_immediately", directory="/")
    place.write("team/_defaults.yaml", "notify: [{to: opps}]\n")
    done = place.run("validate")
    assert done.returncode == 1
    assert done.stdout.count("there is no receiver") == 1
    assert "team/_defaults.yaml:1:15: there is no receiver `opps`" in done.stdout
