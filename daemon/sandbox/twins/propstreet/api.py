"""The routes that every record has: list, create, read, change, delete, look up by external reference."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.propstreet.answers import BASE, flag, numbers_as_text, paged, paging
from daemon.sandbox.twins.propstreet.duplicates import likeness
from daemon.sandbox.twins.propstreet.gate import TOUCHED, Gate, Touched, answer, decoded
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.records import Member, Record
from daemon.sandbox.twins.propstreet.store import Store

_CATEGORY = {
    "contacts": "contact",
    "companies": "company",
    "links": "link",
    "projects": "project",
    "prospects": "prospect",
    "properties": "property",
}
_LISTS = (
    f"{BASE}/network/{{plural:contacts|companies|links}}",
    f"{BASE}/{{plural:projects|properties}}",
    f"{BASE}/projects/{{project}}/{{plural:prospects}}",
)
_WITH_REFERENCES = (
    f"{BASE}/network/{{plural:contacts|companies}}",
    f"{BASE}/{{plural:projects}}",
    f"{BASE}/projects/{{project}}/{{plural:prospects}}",
)


class RecordApi:
    """Handlers of all records and of find-duplicates; each is one row of the contract's endpoint list."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self.store = store
        self.gate = gate
        self.switches = store.switches

    def routes(self) -> list[web.RouteDef]:
        """Every route, ready for an application."""
        external = "external/{namespace}/{key}"
        return [
            *(web.get(f"{rows}/{external}", self.read_by_reference) for rows in _WITH_REFERENCES),
            web.patch(f"{_WITH_REFERENCES[0]}/{external}", self.upsert),
            web.get(f"{BASE}/projects/{{owner}}/{{plural:properties}}", self.list_),
            *(route for rows in _LISTS for route in self._rows(rows)),
            web.post(f"{BASE}/companies/find-duplicates", self.find_duplicates),
            web.post(f"{BASE}/network/companies/find-duplicates", self.find_duplicates),
        ]

    def _rows(self, rows: str) -> list[web.RouteDef]:
        row = f"{rows}/{{id}}"
        return [
            web.get(rows, self.list_),
            web.post(rows, self.create),
            web.get(row, self.read),
            web.patch(row, self.update),
            web.delete(row, self.delete),
        ]

    # --- reading ---

    async def list_(self, request: web.Request) -> web.Response:
        """A page in the order of (updatedUtc, id)."""
        asked = paging(request.query)
        category, wanted = _category(request), _filter(request)
        rows, cursor = self.store.page(category, **asked, within=self.within(request), wanted=wanted)
        views = [self.store.view(row) for row in rows]
        return self.answer(paged(views, cursor, asked["size"], self.switches.ps9))

    async def read(self, request: web.Request) -> web.Response:
        """One record with its ETag."""
        return self.record(self.one(request, may_be_deleted=True))

    async def read_by_reference(self, request: web.Request) -> web.Response:
        """One record by external reference, or 404."""
        within = self.within(request)
        record = self.store.by_reference(_category(request), *_reference(request), within=within)
        if record is None:
            raise not_found()
        return self.record(record)

    async def find_duplicates(self, request: web.Request) -> web.Response:
        """Companies that look like the one in the body (PS8 says at which of the two paths)."""
        if ("/network/" in request.path) != (self.switches.ps8 == "network"):
            raise not_found()
        body = decoded(await request.read())
        name, domain = body.get("name"), body.get("domain")
        if not isinstance(name, str) or not name.strip():
            raise invalid(name="The name field is required.")
        found = []
        for row in self.store.tables["company"].rows.values():
            like = None if row.deleted else likeness(name, domain, row.fields)
            if like:
                shown = {name: row.fields[name] for name in ("name", "domain", "countryCode")}
                found.append({"id": str(row.id), **shown, "method": like[0], "score": like[1]})
        return self.answer(sorted(found, key=lambda one: -one["score"]))

    # --- writing ---

    async def create(self, request: web.Request) -> web.Response:
        """A new record: 201 and Location."""
        category = _category(request)

        def make(body: Mapping[str, Any]) -> web.Response:
            request[TOUCHED] = Touched(category, "")
            within = self.within(request)
            project = within[1] if within else None
            record, new = self.store.create(category, body, "api", project=project)
            now = self.store.content(record)
            request[TOUCHED] = Touched(category, str(record.id), None if new else now, now)
            return self.record(record, 201 if new else 200, Location=f"{request.path}/{record.id}")

        if category in ("contact", "company") and not self.switches.ps18:
            return make(decoded(await request.read()))
        return await self.gate.once(request, make)

    async def update(self, request: web.Request) -> web.Response:
        """Write the given fields; null clears, absent keeps."""
        record = self.found(request)
        body = decoded(await request.read())
        etag = request.headers.get("If-Match", "").strip()
        if record.category == "link" and self.switches.ps7 == "required" and not etag:
            raise Problem(428, "The If-Match header is required.", kind="/help/precondition-required")
        self.store.update(record, body, "api", etag=etag)
        self.wrote(request, record)
        return self.record(record)

    async def delete(self, request: web.Request) -> web.Response:
        """Soft-delete: 204 (PS30); a property's is documented."""
        if not self.switches.ps30 and _category(request) != "property":
            raise not_found()
        record = self.found(request)
        self.store.delete(record, "api", etag=request.headers.get("If-Match", "").strip())
        self.wrote(request, record)
        return web.Response(status=204)

    async def upsert(self, request: web.Request) -> web.Response:
        """Create or update by external reference; `X-Propstreet-Upsert-Action` says which."""
        category, query = _category(request), request.query
        if category == "company" and not self.switches.ps22:
            raise not_found()
        body = decoded(await request.read())
        reference, revive = _reference(request), flag(query, "revive", default=True)
        target = self.store.target(category, reference, body, match=query.get("match"), revive=revive)
        before = self.store.content(target) if target else None
        request[TOUCHED] = Touched(category, str(target.id) if target else "", before, before)
        record, action = self.store.upsert(
            category,
            reference,
            body,
            target,
            create_only=flag(query, "create_only", default=False),
            etag=request.headers.get("If-Match"),
        )
        request[TOUCHED] = Touched(category, str(record.id), before, self.store.content(record))
        headers: dict[str, str] = {"X-Propstreet-Upsert-Action": action}
        if action == "created":
            headers["Location"] = f"{BASE}/network/{request.match_info['plural']}/{record.id}"
        return self.record(record, 201 if action == "created" else 200, **headers)

    # --- shared by the handlers ---

    def within(self, request: web.Request) -> Member | None:
        """The project that the path names, or the contact or company that a list of links asks for.

        Raises Problem (404) when the project is not there.
        """
        named = request.match_info.get("project") or request.match_info.get("owner")
        if named is not None:
            gone = request.method == "GET" and self.switches.deleted_read == "record"
            return "projectId", str(self.store.find("project", named, deleted=gone).id)
        if _category(request) == "link" and request.method == "GET":
            ends = (
                ("contactId", request.query.get("contact_id")),
                ("companyId", request.query.get("company_id")),
            )
            return next(((name, key) for name, key in ends if key is not None), None)
        return None

    def one(self, request: web.Request, *, may_be_deleted: bool = False) -> Record:
        """The record of the path; a deleted one only for a reader, and where the vendor gives it."""
        deleted = may_be_deleted and self.switches.deleted_read == "record"
        within, key = self.within(request), request.match_info["id"]
        return self.store.find(_category(request), key, deleted=deleted, within=within)

    def found(self, request: web.Request) -> Record:
        """The record a write is about, noted for the journal as untouched so far."""
        category, key = _category(request), request.match_info["id"]
        request[TOUCHED] = Touched(category, key)
        record = self.one(request)
        before = self.store.content(record)
        request[TOUCHED] = Touched(category, key, before, before)
        return record

    def wrote(self, request: web.Request, record: Record) -> None:
        """Note for the journal what the record is now."""
        touched = request[TOUCHED]
        after = self.store.content(record)
        request[TOUCHED] = Touched(touched.category, touched.record, touched.before, after)

    def record(self, record: Record, status: int = 200, **headers: str) -> web.Response:
        """A record as an answer."""
        return self.answer(self.store.view(record), status, {"ETag": record.etag, **headers})

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        """A JSON answer, whole numbers as PS10 says."""
        return answer(numbers_as_text(body) if self.switches.ps10 == "string" else body, status, headers)


def _category(request: web.Request) -> str:
    return _CATEGORY[request.match_info["plural"]]


def _reference(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["key"]


def _filter(request: web.Request) -> Callable[[Record], bool]:
    """What a list's query asks for: one end of a link, or a project's state, class and stage."""
    fields = {
        "link": {"contactId": "contact_id", "companyId": "company_id"},
        "project": {name: name for name in ("status", "classification", "teaser_stage")},
    }.get(_category(request), {})
    query = request.query
    asked = {field: query[name] for field, name in fields.items() if name in query}
    return lambda record: all(_shown(record, field) == value for field, value in asked.items())


def _shown(record: Record, field: str) -> Any:
    return "deleted" if field == "status" and record.deleted else record.fields[field]
