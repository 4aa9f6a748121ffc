"""The routes of contacts, companies and links."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.journal import content
from daemon.sandbox.twins.propstreet.duplicates import likeness
from daemon.sandbox.twins.propstreet.gate import TOUCHED, Gate, Touched, answer, decoded
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.store import VOLATILE, Record, Store
from daemon.sandbox.twins.propstreet.webhooks import utc

BASE = "/api/v1"
_CATEGORY = {"contacts": "contact", "companies": "company", "links": "link"}
_PLURALS = "{plural:contacts|companies|links}"
_WITH_REFERENCES = "{plural:contacts|companies}"


class NetworkApi:
    """Handlers of /network and of find-duplicates; each is one row of the contract's endpoint list."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self.store = store
        self.gate = gate
        self.switches = store.switches

    def routes(self) -> list[web.RouteDef]:
        """Every route, ready for an application."""
        rows, row = f"{BASE}/network/{_PLURALS}", f"{BASE}/network/{_PLURALS}/{{id}}"
        external = f"{BASE}/network/{_WITH_REFERENCES}/external/{{namespace}}/{{key}}"
        return [
            web.get(rows, self.list_),
            web.post(rows, self.create),
            web.get(row, self.read),
            web.patch(row, self.update),
            web.delete(row, self.delete),
            web.get(external, self.read_by_reference),
            web.patch(external, self.upsert),
            web.post(f"{BASE}/companies/find-duplicates", self.find_duplicates),
            web.post(f"{BASE}/network/companies/find-duplicates", self.find_duplicates),
        ]

    # --- reading ---

    async def list_(self, request: web.Request) -> web.Response:
        """A page in the order of (updatedUtc, id)."""
        rows, cursor = self.store.page(
            _category(request), **_paging(request.query), wanted=_link_filter(request.query)
        )
        size = _size(request.query)
        return self.answer(paged([self.store.view(row) for row in rows], cursor, size, self.switches.ps9))

    async def read(self, request: web.Request) -> web.Response:
        """One record with its ETag."""
        also_deleted = self.switches.deleted_read == "record"
        return self.record(
            self.store.find(_category(request), request.match_info["id"], deleted=also_deleted)
        )

    async def read_by_reference(self, request: web.Request) -> web.Response:
        """One record by external reference, or 404."""
        record = self.store.by_reference(_category(request), *_reference(request))
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
            record, new = self.store.create(category, body, "api")
            now = self.content(record)
            request[TOUCHED] = Touched(category, str(record.id), None if new else now, now)
            return self.record(record, 201 if new else 200, Location=f"{request.path}/{record.id}")

        if category != "link" and not self.switches.ps18:
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
        """Soft-delete: 204 (PS30)."""
        if not self.switches.ps30:
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
        reference, revive = _reference(request), _flag(query, "revive", default=True)
        target = self.store.target(category, reference, body, match=query.get("match"), revive=revive)
        before = self.content(target) if target else None
        request[TOUCHED] = Touched(category, str(target.id) if target else "", before, before)
        record, action = self.store.upsert(
            category,
            reference,
            body,
            target,
            create_only=_flag(query, "create_only", default=False),
            etag=request.headers.get("If-Match"),
        )
        request[TOUCHED] = Touched(category, str(record.id), before, self.content(record))
        headers: dict[str, str] = {"X-Propstreet-Upsert-Action": action}
        if action == "created":
            headers["Location"] = f"{BASE}/network/{request.match_info['plural']}/{record.id}"
        return self.record(record, 201 if action == "created" else 200, **headers)

    # --- shared by the handlers ---

    def found(self, request: web.Request) -> Record:
        """The record a write is about, noted for the journal as untouched so far."""
        category, key = _category(request), request.match_info["id"]
        request[TOUCHED] = Touched(category, key)
        record = self.store.find(category, key)
        before = self.content(record)
        request[TOUCHED] = Touched(category, key, before, before)
        return record

    def wrote(self, request: web.Request, record: Record) -> None:
        """Note for the journal what the record is now."""
        touched = request[TOUCHED]
        request[TOUCHED] = Touched(touched.category, touched.record, touched.before, self.content(record))

    def content(self, record: Record) -> dict[str, Any] | None:
        """A record as its users see it; None when it is deleted."""
        return None if record.deleted else content(self.store.view(record), VOLATILE)

    def record(self, record: Record, status: int = 200, **headers: str) -> web.Response:
        """A record as an answer."""
        return self.answer(self.store.view(record), status, {"ETag": record.etag, **headers})

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        """A JSON answer, whole numbers as PS10 says."""
        return answer(numbers_as_text(body) if self.switches.ps10 == "string" else body, status, headers)


def paged(rows: list[dict[str, Any]], cursor: str | None, size: int, where: str) -> dict[str, Any]:
    """The envelope of a page (PS9)."""
    page = {"nextCursor": cursor, "pageSize": size, "hasMore": cursor is not None}
    return {"data": rows, **page} if where == "top" else {"data": rows, "page": page}


def numbers_as_text(body: Any) -> Any:
    """The same JSON with every whole number as text (models; PS10)."""
    match body:
        case bool():
            return body
        case int():
            return str(body)
        case dict():
            return {name: numbers_as_text(value) for name, value in body.items()}
        case list():
            return [numbers_as_text(value) for value in body]
        case _:
            return body


def _category(request: web.Request) -> str:
    return _CATEGORY[request.match_info["plural"]]


def _reference(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["key"]


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = query.get(name, str(default)).lower()
    if value not in ("true", "false"):
        raise invalid(**{name: f"The {name} parameter must be true or false."})
    return value == "true"


def _size(query: Mapping[str, str]) -> int:
    size = query.get("page_size", "500")
    if not (size.isascii() and size.isdigit() and 1 <= int(size) <= 500):
        raise invalid(page_size="The page_size parameter must be between 1 and 500.")
    return int(size)


def _paging(query: Mapping[str, str]) -> dict[str, Any]:
    """The query of a list (ref GET contacts)."""
    try:
        since = utc(query["updated_since"]) if "updated_since" in query else None
    except ValueError:
        raise invalid(updated_since="The updated_since parameter is not an ISO 8601 time.") from None
    return {
        "size": _size(query),
        "cursor": query.get("cursor"),
        "since": since,
        "deleted": _flag(query, "include_deleted", default=False),
    }


def _link_filter(query: Mapping[str, str]) -> Any:
    ends = {"contactId": query.get("contact_id"), "companyId": query.get("company_id")}
    asked = {name: key for name, key in ends.items() if key is not None}
    return lambda record: (
        record.category != "link" or all(record.fields[n] == key for n, key in asked.items())
    )
