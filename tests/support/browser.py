"""A page with everything on it, and a browser in front of it. Starts processes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from support.busy_night import Night
from support.fork_server import Process
from support.place import GATE, Place, end_of, wait_until

from runner.web.identity.roles import Role, Scope
from runner.web.identity.tokens import Tokens, new_token

REQUIRED = "RUNNER_REQUIRE_BROWSER"
"""The variable with which a missing browser is a failure instead of a skip."""
PATIENCE_MS = float(os.environ.get("PATIENCE_MS", 60_000))
"""After this a browser hangs; nothing here is a measure of speed."""
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
ANSI_LINES = 12_000
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def chromium() -> str:
    """Return the path of Debian's Chromium, or skip the test: fail if it is required."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but there is no chromium")
    pytest.skip("needs chromium (apt install chromium)")


class Site:
    """A runner with a bad night behind it, and its page."""

    def __init__(self, place: Place, night: Night, *, is_going_on: bool = False) -> None:
        self.place = place
        place.state.mkdir(mode=0o700)
        night.write_requests(place.jobs, is_going_on=is_going_on)
        night.write_log(place.log)
        self._runner: Process | None = None
        self._web: Process | None = None
        self.url = ""

    def declare_odd_ones(self) -> None:
        """Add requests of every kind, also hostile ones."""
        labels = {"team": HOSTILE}
        self.place.declare("waits", GATE, "run_immediately", top={"description": "Waits"})
        self.place.declare(
            "hostile",
            f"echo '{HOSTILE}'".replace("'owned'", "owned"),
            "run_immediately",
            top={"description": HOSTILE, "owner": HOSTILE, "labels": labels},
        )
        self.place.declare(
            "colourful",
            f'printf "\\033[1;32mposted\\033[0m\\n"; seq -f "line %.0f of the output" {ANSI_LINES};'
            ' printf "\\033[31mdone\\033[0m\\n"',
            "run_immediately",
        )
        self.place.declare(
            "grows",
            f"echo begins; {GATE.replace('../go', '../more')}; echo goes on; {GATE}",
            "run_immediately",
        )
        self.place.declare("fails", "echo no listener >&2; exit 3", "run_immediately")
        self.place.declare("report", "echo $RUNNER_PARAM_YEAR", params={"year": 2026})
        members = [{"name": name, "shell": "true"} for name in ("extract", "load")]
        self.place.write(
            "month.yaml",
            f"process: {{group: {{members: {members}}}}}\ntiming: run_immediately\n",
        )
        self.place.write("broken.yaml", "process: {shell: 'true'}\ntiming: {schedule: daily}\n")

    def open(self) -> None:
        """Start the runner and the page."""
        self._runner = self.place.start()
        self._web = self.place.begin("web", "--listen", "127.0.0.1:0")
        self.url = self._address(self._web)

    def _address(self, web: Process) -> str:
        found = ""
        assert web.stderr is not None
        os.set_blocking(web.stderr.fileno(), False)

        def announced() -> re.Match[str] | None:
            nonlocal found
            assert web.poll() is None, found
            with suppress(BlockingIOError):
                found += (web.stderr.read() or b"").decode() if web.stderr else ""
            return re.search(r"served on (http://\S+?)/?\n", found)

        return wait_until(announced, within_s=90, what="the page's address")[1]

    def token(self, name: str, role: str) -> str:
        """Make a token; return its secret."""
        token, secret = new_token(name, Role(role), Scope(), expires=None)
        Tokens(self.place.state).add(token)
        return secret

    def close(self) -> None:
        """End the page, then the runner."""
        (self.place.folder / "more").touch()
        self.place.open_gate()
        if self._web is not None:
            self._web.terminate()
            end_of(self._web)
        if self._runner is not None:
            self.place.stop(self._runner)


class Visitor:
    """Somebody with a browser window of their own."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    def log_in(self, token: str, path: str = "/") -> None:
        """Log in with the form, and arrive at a page."""
        self.page.goto(self.site.url + path)
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()

    def open(self, path: str) -> Page:
        """Open a page by its path."""
        self.page.goto(self.site.url + path)
        return self.page

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return max(int(wide), 0)

    def violations(self, *rules: str) -> list[str]:
        """Return what axe-core finds on the page, by all its rules or by these."""
        kind = "rule" if rules else "tag"
        options = {
            "runOnly": {"type": kind, "values": [*(rules or AXE_TAGS)]},
            "resultTypes": ["violations"],  # to collect what passes takes most of the time
        }
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for each in found
            for node in each["nodes"][:3]
        ]


@contextmanager
def visitor(browser: Browser, site: Site, **options: Any) -> Iterator[Visitor]:
    """Give somebody a window; at its end, no page may have had an error."""
    context = browser.new_context(**{"timezone_id": "America/New_York", **options})
    found = Visitor(context, site)
    yield found
    context.close()
    assert found.troubles == []


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS])
        yield browser
        browser.close()


SIZES: Mapping[str, Any] = {
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "wall": {"viewport": {"width": 3840, "height": 2160}},
}
