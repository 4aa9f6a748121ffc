"""The Propstreet twin: the vendor's API on one side, people at work on the other."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.journal import Entry, Journal
from daemon.sandbox.twins.propstreet.activity import NOTED, Activity, note_content
from daemon.sandbox.twins.propstreet.activity_api import ActivityApi
from daemon.sandbox.twins.propstreet.api import RecordApi
from daemon.sandbox.twins.propstreet.checks import Fields
from daemon.sandbox.twins.propstreet.gate import TOKEN_PATH, Gate, windows
from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.prospect_api import ProspectApi
from daemon.sandbox.twins.propstreet.records import Actor, Record, Verb
from daemon.sandbox.twins.propstreet.store import Store
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.propstreet.webhook_api import WebhookApi
from daemon.sandbox.twins.propstreet.webhooks import EVENTS, Webhooks
from daemon.sandbox.twins.server import RateLimit, date_by

_MAX_BODY = 10 * 2**20  # guide limits


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class PropstreetTwin:
    """One organisation at Propstreet, in memory.

    `app` is the vendor's API; the methods are what a person does in the vendor's own screens. `limits=None`
    lifts the rate limit. `clock` gives aware times and may be skewed; `seed` decides every random thing.
    """

    client_id = "toveis-twin"
    client_secret = "twin-secret-of-no-use-elsewhere"

    def __init__(
        self,
        switches: Switches | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = utc_now,
        limits: RateLimit | Literal["switch"] | None = "switch",
    ) -> None:
        self.switches = switches or Switches()
        self.clock = clock
        self.journal = Journal()
        self.faults = Faults(seed, failure=_failure)
        self.webhooks = Webhooks(self.switches, self.faults, clock)
        self.store = Store(self.switches, clock, self._changed)
        self.activity = Activity(self.store, self.client_id)
        self.gate = Gate(
            self.switches,
            self.journal,
            clock,
            self.faults.random,
            client_id=self.client_id,
            client_secret=self.client_secret,
            limits=windows(self.switches.ps26) if limits == "switch" else limits,
        )
        self.app = self._application()

    def _application(self) -> web.Application:
        gate = self.gate
        app = web.Application(
            middlewares=[self.faults.middleware, gate.problems, gate.limit, gate.login, gate.note],
            client_max_size=_MAX_BODY,
        )
        date_by(app, lambda: gate.clock())
        app.router.add_post(TOKEN_PATH, gate.token)
        records = RecordApi(self.store, gate)
        app.router.add_routes(ProspectApi(records).routes())
        app.router.add_routes(ActivityApi(records, self.activity).routes())
        app.router.add_routes(records.routes())
        app.router.add_routes(WebhookApi(self.webhooks, self.store).routes())
        return app

    def _changed(self, verb: Verb, record: Record, actor: Actor, before: Fields) -> None:
        self.activity.audit(verb, record, actor, before)
        if actor == "api" and not self.switches.ps11:
            return
        removed = verb == "removed"
        shown = ("deleted" if self.switches.ps6 == "deleted" else "updated") if removed else verb
        action = "removed" if removed and shown == "updated" else None
        data, at = self.store.view(record), self.store.time(record.updated)
        self.webhooks.emit(f"{record.category}.{shown}", data, at, action=action)

    # --- people at work ---

    def create(self, category: str, **fields: Any) -> str:
        """A person adds a record of any category; the id. Fields are named as in the API.

        A person may also set what the API only reads: a project's `classification`, `status` and
        `teaser_stage`, a prospect's `projectId`, `classification` and `tags`, a property's `projectId`.
        Raises Problem when the vendor's rules refuse it, as do all edits.
        """
        record, _ = self.store.create(category, fields, "person")
        self._note("POST", record, None)
        return str(record.id)

    def edit(self, category: str, key: str, **fields: Any) -> None:
        """A person changes some fields; None clears one. What changes nothing raises no event."""
        record = self.store.find(category, key)
        before = self.store.content(record)
        self.store.update(record, fields, "person")
        self._note("PATCH", record, before)

    def delete(self, category: str, key: str) -> None:
        """A person deletes a record."""
        record = self.store.find(category, key)
        before = self.store.content(record)
        self.store.delete(record, "person")
        self._note("DELETE", record, before)

    def remove_prospect(self, key: str) -> None:
        """A person takes a prospect off its list; `restore` undoes it (PS6)."""
        prospect = self.store.find("prospect", key)
        before = self.store.content(prospect)
        self.store.delete(prospect, "person", verb="removed")
        self._note("POST", prospect, before)

    def restore(self, category: str, key: str) -> None:
        """A person brings a deleted record back; one that is there stays as it is."""
        record = self.store.find(category, key, deleted=True)
        if record.deleted:
            self.store.restore(record, "person")
            self._note("PATCH", record, None)

    def get(self, category: str, key: str) -> dict[str, Any]:
        """A record as the API would give it, also a deleted one."""
        return copy.deepcopy(self.store.view(self.store.find(category, key, deleted=True)))

    def records(self, category: str, deleted: bool = False) -> list[dict[str, Any]]:
        """All records of a category, oldest first; the deleted ones, too, when asked for."""
        rows = self.store.tables[category].rows.values()
        return [copy.deepcopy(self.store.view(row)) for row in rows if deleted or not row.deleted]

    def _note(self, method: str, record: Record, before: dict[str, Any] | None) -> None:
        self._journal(method, record.category, str(record.id), before, self.store.content(record))

    def _journal(
        self,
        method: str,
        category: str,
        record: str,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> None:
        self.journal.append(
            Entry(
                at=self.clock(),
                actor="person",
                kind="write",
                method=method,
                path="",
                category=category,
                record=record,
                status=200,
                changed=before != after,
                before=before,
                after=after,
            )
        )

    # --- notes ---

    def add_note(self, category: str, key: str, text: str, type: str = "note") -> str:  # noqa: A002 the vendor's word
        """A person writes a note on a contact, a company, a project or a prospect; its id.

        `type` is note, call, meeting, email or news, and only for contacts and companies.
        """
        record = self._noted(category, key)
        body = {"note": text, "type": type} if category in ("contact", "company") else {"content": text}
        note = self.activity.add_note(record, body, "person")
        self._journal("POST", "note", str(note.id), None, note_content(note))
        return str(note.id)

    def notes(self, category: str, key: str) -> list[dict[str, Any]]:
        """The notes of a record as the API gives them, newest first, without archived and superseded ones."""
        rows = self.activity.shown([self._noted(category, key, deleted=True)], "notes")
        return [copy.deepcopy(self.activity.view(row)) for row in rows]

    def _noted(self, category: str, key: str, *, deleted: bool = False) -> Record:
        if category not in NOTED:
            raise ValueError(f"a {category} has no notes")
        return self.store.find(category, key, deleted=deleted)

    # --- the vendor's own moves ---

    def set_stage(self, project: str, stage: str | None) -> None:
        """The system moves a project's teaser on: property_added, drafting, published, verified, communicated."""
        self.edit("project", project, teaser_stage=stage)

    def close_project(self, project: str) -> None:
        """The system closes a project: its status becomes closed."""
        self.edit("project", project, status="closed")

    def match_prospect(self, project: str, **fields: Any) -> str:
        """The system adds an investor to whom the teaser went out, maybe one without a contact; the id.

        Such a prospect has a `teaser`, and `displayName` and `organizationName` where no record gives them.
        """
        teaser = {"acceptedUtc": None, "deadlineUtc": None}
        return self.create("prospect", **{"projectId": project, "teaser": teaser, **fields})

    # --- the twin's owner ---

    def add_webhook(self, url: str, events: list[str] | None = None, secret: str | None = None) -> str:
        """Register a webhook without the API, plain http allowed; returns the secret."""
        return self.webhooks.register(url, events or list(EVENTS), None, secret).secret

    def expire_tokens(self) -> None:
        """Every token given out dies at once (PS27: 401 in the middle)."""
        self.gate.tokens.clear()

    def expire_cursors(self) -> None:
        """Every cursor given out becomes old (PS32)."""
        self.store.cursors.clear()
        self.activity.cursors.clear()

    async def settled(self, *, retries: bool = False) -> None:
        """Wait until no delivery is on its way; with `retries` until none is scheduled either."""
        await self.webhooks.settled(retries=retries)

    async def close(self) -> None:
        """Stop all deliveries."""
        await self.webhooks.close()


def _failure(status: int, headers: Any) -> web.StreamResponse:
    return Problem(status, "A fault on order.", headers=headers).response()
