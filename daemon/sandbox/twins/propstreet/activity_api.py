"""The routes of notes and timelines: on contacts, companies, projects and prospects."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.propstreet.activity import Activity, Which, note_content
from daemon.sandbox.twins.propstreet.answers import BASE, flag, page_size, paged
from daemon.sandbox.twins.propstreet.api import RecordApi
from daemon.sandbox.twins.propstreet.gate import TOUCHED, Touched, decoded
from daemon.sandbox.twins.propstreet.problems import invalid

_NOTED = (
    f"{BASE}/network/{{plural:contacts|companies}}/{{id}}",
    f"{BASE}/{{plural:projects}}/{{id}}",
    f"{BASE}/projects/{{project}}/{{plural:prospects}}/{{id}}",
)


class ActivityApi:
    """Handlers of …/notes and …/actions."""

    def __init__(self, records: RecordApi, activity: Activity) -> None:
        self.records = records
        self.activity = activity

    def routes(self) -> list[web.RouteDef]:
        """Every route, ready for an application."""
        return [
            route
            for one in _NOTED
            for route in (
                web.get(f"{one}/actions", self.list_),
                web.post(f"{one}/notes", self.add),
                web.patch(f"{one}/notes/{{note}}", self.revise),
            )
        ]

    async def list_(self, request: web.Request) -> web.Response:
        """A page of the timeline, newest first; a project's may hold its prospects' (`include_rollups`)."""
        record, query = self.records.one(request, may_be_deleted=True), request.query
        which = _which(query.get("type", "all"))
        of = [record]
        if record.category == "project" and flag(query, "include_rollups", default=False):
            of += self.records.store.page("prospect", size=10_000, within=("projectId", str(record.id)))[0]
        rows = self.activity.shown(
            of,
            which,
            archived=flag(query, "archived", default=False),
            superseded=flag(query, "superseded", default=False),
        )
        size = page_size(query, default=100)
        views, cursor = self.activity.page(rows, size, query.get("cursor"))
        return self.records.answer(paged(views, cursor, size, self.records.switches.ps9))

    async def add(self, request: web.Request) -> web.Response:
        """A new note, without a body in the answer: 204 at contacts and companies, else 201."""

        def make(body: Mapping[str, Any]) -> web.Response:
            request[TOUCHED] = Touched("note", "")
            record = self.records.one(request)
            note = self.activity.add_note(record, body, "api")
            request[TOUCHED] = Touched("note", str(note.id), None, note_content(note))
            return web.Response(status=204 if record.category in ("contact", "company") else 201)

        return await self.records.gate.once(request, make)

    async def revise(self, request: web.Request) -> web.Response:
        """Archive, unarchive or supersede a note: 204. These are not replayed by an Idempotency-Key."""
        key = request.match_info["note"]
        request[TOUCHED] = Touched("note", key)
        note = self.activity.find(self.records.one(request), key)
        before = note_content(note)
        request[TOUCHED] = Touched("note", key, before, before)
        body = decoded(await request.read())
        self.activity.revise(note, body, "api", request.headers.get("If-Match", "").strip())
        request[TOUCHED] = Touched("note", key, before, note_content(note))
        return web.Response(status=204)


def _which(asked: str) -> Which:
    match asked:
        case "all" | "audit" | "notes":
            return asked
        case _:
            raise invalid(type="The type parameter must be all, audit or notes.")
