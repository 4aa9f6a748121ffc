"""The Propstreet twin: the vendor's API on one side, people at work on the other."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.journal import Entry, Journal, content
from daemon.sandbox.twins.propstreet.api import NetworkApi
from daemon.sandbox.twins.propstreet.gate import TOKEN_PATH, Gate, windows
from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.store import VOLATILE, Actor, Record, Store, Verb
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.propstreet.webhook_api import WebhookApi
from daemon.sandbox.twins.propstreet.webhooks import EVENTS, Webhooks
from daemon.sandbox.twins.server import RateLimit

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
        app.router.add_post(TOKEN_PATH, gate.token)
        app.router.add_routes(NetworkApi(self.store, gate).routes())
        app.router.add_routes(WebhookApi(self.webhooks, self.store).routes())
        return app

    def _changed(self, verb: Verb, record: Record, actor: Actor) -> None:
        if actor == "person" or self.switches.ps11:
            at = self.store.time(record.updated)
            self.webhooks.emit(f"{record.category}.{verb}", self.store.view(record), at)

    # --- people at work ---

    def create(self, category: str, **fields: Any) -> str:
        """A person adds a contact, a company or a link; the id. Fields are named as in the API.

        Raises Problem when the vendor's rules refuse it, as do all edits.
        """
        record, _ = self.store.create(category, fields, "person")
        self._note("POST", record, None)
        return str(record.id)

    def edit(self, category: str, key: str, **fields: Any) -> None:
        """A person changes some fields; None clears one. What changes nothing raises no event."""
        record = self.store.find(category, key)
        before = self._content(record)
        self.store.update(record, fields, "person")
        self._note("PATCH", record, before)

    def delete(self, category: str, key: str) -> None:
        """A person deletes a record."""
        record = self.store.find(category, key)
        before = self._content(record)
        self.store.delete(record, "person")
        self._note("DELETE", record, before)

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

    def _content(self, record: Record) -> dict[str, Any] | None:
        return None if record.deleted else content(self.store.view(record), VOLATILE)

    def _note(self, method: str, record: Record, before: dict[str, Any] | None) -> None:
        after = self._content(record)
        self.journal.append(
            Entry(
                at=self.clock(),
                actor="person",
                kind="write",
                method=method,
                path="",
                category=record.category,
                record=str(record.id),
                status=200,
                changed=before != after,
                before=before,
                after=after,
            )
        )

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

    async def settled(self, *, retries: bool = False) -> None:
        """Wait until no delivery is on its way; with `retries` until none is scheduled either."""
        await self.webhooks.settled(retries=retries)

    async def close(self) -> None:
        """Stop all deliveries."""
        await self.webhooks.close()


def _failure(status: int, headers: Any) -> web.StreamResponse:
    return Problem(status, "A fault on order.", headers=headers).response()
