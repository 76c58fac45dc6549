"""The actions of the API: the same table as the buttons. A repeated key changes nothing twice."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from runner.commands import Answer
from runner.errors import RefusedError
from runner.web.actions import ACTIONS, Action
from runner.web.api.answers import Json, ok
from runner.web.api.schemas import page_of, reference
from runner.web.buttons.commanding import Wish, act
from runner.web.dependencies import CurrentSite, CurrentViewer

router = APIRouter(tags=["actions"])


class Answered:
    """The runner's answers by their keys. A refusal is an answer, too; no answer is none."""

    def __init__(self, *, most: int = 10_000, keep_s: float = 86_400.0) -> None:
        self._most, self._keep_s = most, keep_s
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def once(self, key: tuple[str, str], digest: bytes, ask: Callable[[], Answer]) -> Answer:
        """Return the answer that this key got, or ask. Two requests at once ask once.

        Raises RefusedError if the key was used for something else, and what `ask` raises.
        """
        entry = self._entry(key, digest)
        if entry.digest != digest:
            raise RefusedError("the Idempotency-Key was used for another request")
        with entry.lock:
            if entry.answer is None:
                entry.answer = ask()
            return entry.answer

    def _entry(self, key: tuple[str, str], digest: bytes) -> _Entry:
        now_s = time.monotonic()
        with self._lock:
            entry = self._known.get(key)
            if entry is None or now_s - entry.began_s > self._keep_s:
                entry = self._known[key] = _Entry(digest, now_s)
                self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return entry


class _Entry:
    """A key, and what it was used for."""

    def __init__(self, digest: bytes, began_s: float) -> None:
        self.digest = digest
        self.began_s = began_s
        self.lock = Lock()
        self.answer: Answer | None = None


def _answered(request: Request) -> Answered:
    answered: Answered = request.app.state.answered
    return answered


class Wanted(BaseModel, extra="forbid"):
    """What to do it to, and the values that it takes."""

    target: str | None = Field(
        None, description="A request, an execution or an alert; null for all, or for the runner."
    )
    values: dict[str, str] = Field({}, description="Its values, as people type them.")
    params: dict[str, Any] = Field({}, description="For `exec`: parameters that differ.")


Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Any text. The same request with the same key is carried out once, and "
        "answered alike for a day.",
    ),
]


@router.get(
    "/actions",
    summary="List actions",
    responses=ok(page_of("actions", "Action", "All actions."), "The actions."),
)
def actions(viewer: CurrentViewer) -> Json:
    """List what the role of this token may do."""
    allowed = (each for each in ACTIONS.values() if viewer.role.allows(each.role))
    return Json({"actions": [*map(_item, allowed)]})


@router.post(
    "/actions/{name}",
    summary="Carry out an action",
    responses=ok(reference("Answer"), "Done.", 400, 404, 409),
)
def carry_out(
    name: Annotated[str, Path(description="The action.", json_schema_extra={"enum": [*ACTIONS]})],
    wanted: Annotated[Wanted, Body()],
    site: CurrentSite,
    viewer: CurrentViewer,
    answered: Annotated[Answered, Depends(_answered)],
    key: Key = None,
) -> Json:
    """Carry out an action, as its button does. The runner records who asked."""
    if (action := ACTIONS.get(name)) is None:
        raise HTTPException(404)
    wish = Wish(action=action, target=wanted.target, values=wanted.values, params=wanted.params)
    if key is None:
        answer = act(site, viewer, wish)
    else:
        digest = hashlib.sha256(f"{name} {wanted.model_dump_json()}".encode()).digest()
        answer = answered.once((viewer.name, key), digest, lambda: act(site, viewer, wish))
    if not answer.is_done:
        raise RefusedError("; ".join(answer.lines) or "the runner refused it")
    return Json({"lines": answer.lines, "data": answer.data})


def _item(action: Action) -> dict[str, Any]:
    return {
        "action": action.name,
        "title": action.title,
        "role": action.role,
        "target": action.target,
        "is_for_all": action.is_for_all,
        "values": [
            {"name": each.name, "is_required": each.is_required, "example": each.example}
            for each in action.fields
        ],
    }
