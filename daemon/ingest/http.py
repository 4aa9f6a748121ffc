"""The open port: every delivery is checked on its raw bytes, stored, and only then answered."""

import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import web

from daemon.domain.errors import DatabaseUnreachable, InvalidSignature, StorageError
from daemon.domain.events import NewEvent
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.ingest import propstreet_webhooks, vitec_notifications
from daemon.ingest.keyring import Keyring
from daemon.ingest.leads import LeadReceiver
from daemon.metrics import ANSWERS, Tallies
from daemon.processor import Tenant
from daemon.telemetry import log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
ROUTES: Final = {
    "/webhooks/propstreet/": "propstreet",
    "/webhooks/vitec/": "vitec",
    "/lead": "lead",
    "/Interest/": "lead",
    "/Advertising/": "lead",
    "/healthz": "health",
    "/readyz": "health",
    "/metrics": "metrics",
}
"""By the beginning of its path, the kind of a request."""

LARGEST_BODY: Final = 1024 * 1024
RETRY_AFTER: Final = "5"

Metrics = Callable[[], Awaitable[bytes]]
"""All metrics, in the text format of Prometheus."""

Reasons = Callable[[], Awaitable[list[str]]]
"""Why the daemon is not ready; empty when it is."""


class Receiver:
    """Takes in what the vendors send to any tenant."""

    def __init__(
        self,
        tenants: dict[str, Tenant],
        reasons: Reasons,
        leads: LeadReceiver | None = None,
        metrics: Metrics | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        self._tenants = tenants
        self._reasons = reasons
        self._leads = leads
        self._metrics = metrics
        self._tallies = tallies or Tallies()
        self._keyrings = {name: Keyring(tenant) for name, tenant in tenants.items()}

    def app(self) -> web.Application:
        """The routes. What is not among them is 404."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._counted, _answers])
        for name, tenant in self._tenants.items():
            app.router.add_post(f"/webhooks/propstreet/{name}", partial(self.propstreet, tenant))
        app.router.add_post("/webhooks/vitec/{tenant}/{secret}", self.vitec)
        if self._leads is not None:
            self._leads.add_routes(app.router)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        if self._metrics is not None:
            app.router.add_get("/metrics", self.metrics)
        return app

    async def propstreet(self, tenant: Tenant, request: web.Request) -> web.Response:
        """A Standard Webhooks delivery."""
        body = await request.read()
        delivery = await self._keyrings[tenant.name].verify(request.headers, body)
        event = propstreet_webhooks.event_of(
            tenant.name,
            delivery,
            body,
            tenant.clock(),
            test=request.headers.get("x-propstreet-test", "").lower() == "true",
            store_national_ids=tenant.options.store_national_ids,
        )
        await self._store(tenant, PROPSTREET, [event])
        return web.Response(body=b"stored")

    async def vitec(self, request: web.Request) -> web.Response:
        """A notification. The secret in the path is all that tells a stranger from Vitec."""
        tenant = self._tenants.get(request.match_info["tenant"])
        secret = tenant.settings.vitec.webhook_secret if tenant is not None else None
        given = request.match_info["secret"].encode()
        if tenant is None or secret is None or not hmac.compare_digest(secret.reveal().encode(), given):
            raise web.HTTPNotFound(text="no such address")
        events = vitec_notifications.events_of(
            tenant.name,
            tenant.random_id(),
            await request.read(),
            request.query,
            tenant.clock(),
            store_national_ids=tenant.options.store_national_ids,
            estate_types=tenant.settings.sync.estate_types,
        )
        await self._store(tenant, VITEC, events)
        return web.Response(text="stored")

    async def _store(self, tenant: Tenant, vendor: str, events: list[NewEvent]) -> None:
        """What a vendor said is in the log when this returns."""
        await tenant.appender.append(events)
        self._tallies.heard[tenant.name, vendor] = tenant.clock()
        for event in events:
            log.debug(
                "ingest.received",
                tenant=tenant.name,
                vendor=vendor,
                type=event.type,
                stream=event.stream,
                event_id=event.event_id,
                correlation_id=event.correlation_id,
            )

    async def healthz(self, _: web.Request) -> web.Response:
        """The process answers, so its loop turns."""
        return web.Response(text="ok")

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether work is being done; with the reasons when it is not, as text for whoever asks for text/plain."""
        reasons = await self._reasons()
        status = 503 if reasons else 200
        if request.headers.get("Accept", "").startswith("text/plain"):
            return web.Response(text="".join(f"{line}\n" for line in reasons or ["ready"]), status=status)
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=status)

    async def metrics(self, _: web.Request) -> web.Response:
        """What Prometheus scrapes: numbers and kinds, nothing of anybody."""
        assert self._metrics is not None
        return web.Response(body=await self._metrics(), headers={"Content-Type": METRICS_TYPE})

    @web.middleware
    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts the answers by kind of route."""
        status = 500
        try:
            answer = await handler(request)
            status = answer.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            self._tallies.counts[ANSWERS][_route(request.path), str(status)] += 1
        return answer


def _route(path: str) -> str:
    """What kind of request it is, as a label: never the path, which may hold a secret."""
    for prefix, route in ROUTES.items():
        if path.startswith(prefix):
            return route
    return "other"


@web.middleware
async def _answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Our errors as answers. Never 410, which would switch a subscription off at once."""
    try:
        return await handler(request)
    except InvalidSignature as error:
        log.warning("ingest.refused", reason=str(error))
        return web.Response(status=401, text=str(error))
    except DatabaseUnreachable:
        return web.Response(status=503, text="the database is away", headers={"Retry-After": RETRY_AFTER})
    except StorageError as error:
        log.error("ingest.not_stored", error=type(error).__name__)
        return web.Response(status=503, text="not stored", headers={"Retry-After": RETRY_AFTER})
