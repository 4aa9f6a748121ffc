"""Leads at the open port: read, checked as a whole, stored, and only then answered.

The same lead on the same Swedish day is one event, so whoever posts it twice is answered with the first one's id.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from daemon.domain.errors import AccessDenied, VendorError
from daemon.domain.events import LEAD_RECEIVED, NewEvent, Reading, encode
from daemon.domain.settings import Secret
from daemon.domain.streams import LEAD, derived_id, entity_stream
from daemon.mappings import leads
from daemon.mappings.leads import FieldError, InvalidLead, Lead, LeadKind, NotJson
from daemon.mappings.privacy import without_national_ids
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.telemetry import log

STOCKHOLM: Final = ZoneInfo("Europe/Stockholm")
FRESH: Final = 60.0
"""Seconds for which a list of lead sources is given again without asking Vitec, or is not asked for again in vain."""

Source = tuple[str, str]
"""Id and name of a lead source."""

Sources = Callable[[], Awaitable[list[Source]]]
"""Asks Vitec for one customer's lead sources; raises VendorError."""


class LeadReceiver:
    """Takes leads in for the tenant of the Vitec customer that they name."""

    def __init__(
        self, tenants: Mapping[str, Tenant], sources: Mapping[str, Sources], token: Secret | None
    ) -> None:
        self._tenants = {
            tenant.settings.vitec.customer_id: tenant
            for tenant in tenants.values()
            if tenant.settings.vitec.product == "connect"
        }
        self._sources = sources
        self._token = token.reveal().encode() if token is not None else None
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in tenants}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Our own interface, and the two of Vitec's that a form may post to."""
        router.add_post("/lead", self.lead)
        for path in ("/lead-sources", "/lead_sources", "/lead"):
            router.add_get(path, self.lead_sources)
        router.add_post("/Interest/SendInterestAndContactOnEstate", self.interest)
        router.add_post("/Advertising/Estate/{customerId}/{estateId}/FinalPriceWatched", self.final_price)

    async def lead(self, request: web.Request) -> web.Response:
        """A valuation lead."""
        return await self._receive("lead", request)

    async def interest(self, request: web.Request) -> web.Response:
        """An interest in an estate, with the contact who has it."""
        return await self._receive("interest", request)

    async def final_price(self, request: web.Request) -> web.Response:
        """Somebody who wants to know an estate's final price."""
        return await self._receive("final_price", request, dict(request.match_info))

    async def lead_sources(self, request: web.Request) -> web.Response:
        """The lead sources of one customer, or of all that could be asked; of an unknown one there are none."""
        self._authorise(request)
        customer = request.query.get("customer_id")
        asked = [tenant for name, tenant in self._tenants.items() if customer in (None, "", name)]
        lists = await asyncio.gather(*(self._ask(tenant) for tenant in asked))
        found = [each for each in lists if each is not None]
        if asked and not found:
            answer = {"status": "ERROR", "message": "Vitec could not be asked; try again"}
            return web.json_response(answer, status=502)
        return web.json_response([{"id": key, "name": words} for each in found for key, words in each])

    async def _ask(self, tenant: Tenant) -> list[Source] | None:
        """A customer's lead sources, None where Vitec could not be asked. Many who ask at once are one call."""
        async with self._asking[tenant.name]:
            known = self._known.get(tenant.name)
            if known is None or asyncio.get_running_loop().time() >= known.until:
                known = self._known[tenant.name] = await self._read_sources(tenant)
            return known.sources

    async def _read_sources(self, tenant: Tenant) -> "_Known":
        try:
            sources = await self._sources[tenant.name]()
        except VendorError as error:
            log.warning("ingest.no_lead_sources", tenant=tenant.name, reason=type(error).__name__)
            rest = ONCE_A_DAY if isinstance(error, AccessDenied) else FRESH
            return _Known(None, asyncio.get_running_loop().time() + rest)
        return _Known(sources, asyncio.get_running_loop().time() + FRESH)

    async def _receive(
        self, kind: LeadKind, request: web.Request, path: dict[str, str] | None = None
    ) -> web.Response:
        self._authorise(request)
        body = await request.read()
        try:
            tenant, kept, lead = self._read(kind, body, path or {})
        except NotJson as error:
            return web.json_response({"status": "ERROR", "message": str(error)}, status=400)
        except InvalidLead as error:
            detail = [{"loc": list(each.loc), "msg": each.msg} for each in error.errors]
            return web.json_response({"detail": detail}, status=422)
        event = event_of(tenant, kind, kept, lead, path)
        await tenant.appender.append([event])
        log.debug(
            "ingest.received",
            tenant=tenant.name,
            type=event.type,
            stream=event.stream,
            event_id=event.event_id,
            correlation_id=event.correlation_id,
        )
        return web.json_response({"status": "OK", "message": str(event.event_id)})

    def _read(self, kind: LeadKind, body: bytes, path: Mapping[str, str]) -> tuple[Tenant, bytes, Lead]:
        """Whose lead it is, and what of it is kept."""
        lead = leads.parse(kind, body, path=path)
        tenant = self._tenants.get(lead.customer_id)
        if tenant is None:
            raise InvalidLead((FieldError(_CUSTOMER[kind], "unknown customer"),))
        if tenant.options.store_national_ids:
            return tenant, body, lead
        kept = without_national_ids(body)
        return tenant, kept, leads.parse(kind, kept, path=path)

    def _authorise(self, request: web.Request) -> None:
        if self._token is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(_bytes(given.strip()), self._token):
            raise web.HTTPUnauthorized(text="a token is needed", headers={"WWW-Authenticate": "Bearer"})


class _Known(msgspec.Struct, frozen=True):
    """A customer's lead sources, None where they could not be had, and until when (monotonic) that is the answer."""

    sources: list[Source] | None
    until: float


def _bytes(header: str) -> bytes:
    """What a header was on the wire, which need not be UTF-8."""
    return header.encode("utf-8", "surrogateescape")


_CUSTOMER: Final[Mapping[LeadKind, tuple[str, ...]]] = {
    "lead": ("body", "customer", "customer_id"),
    "interest": ("body", "updatePerson", "customerId"),
    "final_price": ("path", "customerId"),
}


def event_of(
    tenant: Tenant, kind: LeadKind, kept: bytes, lead: Lead, path: dict[str, str] | None
) -> NewEvent:
    """The event of a lead: equal after parsing, on the same day in Sweden, is the same one."""
    received = tenant.clock()
    day = received.astimezone(STOCKHOLM).date().isoformat()
    event_id = derived_id(tenant.name, LEAD, kind, day, lead.canonical.hex())
    return NewEvent(
        event_id=event_id,
        stream=entity_stream(LEAD, str(event_id)),
        type=LEAD_RECEIVED,
        origin=LEAD,
        occurred_at=received,
        data=kept,
        meta=encode(Reading(via="lead", kind=kind, query=path)),
        correlation_id=event_id,
    )
