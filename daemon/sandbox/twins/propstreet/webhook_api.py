"""The routes of webhooks: register, change, look at deliveries, test, replay."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from daemon.sandbox.twins.propstreet.answers import BASE, numbers_as_text, paged
from daemon.sandbox.twins.propstreet.gate import answer, decoded
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.store import Store
from daemon.sandbox.twins.propstreet.webhooks import EVENTS, Delivery, Webhook, Webhooks, utc

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WebhookApi:
    """Handlers of /webhooks (ref POST webhooks, test, replay; model WebhookDelivery)."""

    def __init__(self, webhooks: Webhooks, store: Store) -> None:
        self.webhooks = webhooks
        self.store = store
        self.switches = webhooks.switches

    def routes(self) -> list[web.RouteDef]:
        """Every route, ready for an application."""
        all_, one = f"{BASE}/webhooks", f"{BASE}/webhooks/{{id}}"
        return [
            web.get(all_, self.list_),
            web.post(all_, self.register),
            web.get(one, self.read),
            web.patch(one, self.update),
            web.put(one, self.update),
            web.delete(one, self.delete),
            web.get(f"{one}/deliveries", self.deliveries),
            web.post(f"{one}/test", self.test),
            web.post(f"{one}/replay", self.replay),
        ]

    async def list_(self, request: web.Request) -> web.Response:
        """All webhooks of this client."""
        rows = [self.view(hook) for hook in self.webhooks.all.values()]
        return self.answer(paged(rows, None, 500, self.switches.ps9))

    async def register(self, request: web.Request) -> web.Response:
        """A new webhook; the only answer that carries the secret."""
        given = self.given(decoded(await request.read()), required=True)
        hook = self.webhooks.register(given["url"], given["events"], given.get("name"))
        headers = {"Location": f"{BASE}/webhooks/{hook.id}"}
        return self.answer({**self.view(hook), "secret": hook.secret}, 201, headers)

    async def read(self, request: web.Request) -> web.Response:
        """One webhook, without its secret."""
        return self.answer(self.view(self.found(request)))

    async def update(self, request: web.Request) -> web.Response:
        """Change url, events or name, or enable it again, by PATCH or PUT (PS14)."""
        verb = "PUT" if self.switches.ps14 == "put" else "PATCH"
        if request.method != verb:
            raise Problem(405, "Method Not Allowed", headers={"Allow": f"DELETE,GET,{verb}"})
        hook = self.found(request)
        given = self.given(decoded(await request.read()), required=False)
        hook.url, hook.events = given.get("url", hook.url), given.get("events", hook.events)
        hook.name = given.get("name", hook.name)
        if self.switches.ps14 != "anew" and "isActive" in given:
            self.webhooks.enable(hook) if given["isActive"] else self.webhooks.disable(hook)
        return self.answer(self.view(hook))

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a webhook: 204."""
        self.webhooks.remove(self.found(request))
        return web.Response(status=204)

    async def deliveries(self, request: web.Request) -> web.Response:
        """Its deliveries, newest first, in one page."""
        rows = [self.delivery(one) for one in reversed(self.found(request).deliveries)]
        return self.answer(paged(rows[:500], None, 500, self.switches.ps9))

    async def test(self, request: web.Request) -> web.Response:
        """Send an invented event now and say what came of it."""
        hook = self.found(request)
        raw = await request.read()
        event = (decoded(raw) if raw else {}).get("event_type", "contact.created")
        if event not in EVENTS:
            raise invalid(event_type="The event_type field is not an event.")
        outcome = await self.webhooks.test(hook, event, self.store.time(self.store.now()))
        return self.answer(
            {
                "success": outcome.good,
                "status_code": outcome.status,
                "duration_ms": outcome.milliseconds,
                "error": outcome.error,
            }
        )

    async def replay(self, request: web.Request) -> web.Response:
        """Queue failed deliveries anew; a disabled webhook has to be enabled first."""
        hook = self.found(request)
        try:
            since = utc(decoded(await request.read())["since"])
        except (KeyError, TypeError, ValueError):
            raise invalid(since="The since field must be an ISO 8601 time.") from None
        if not hook.active:
            raise Problem(409, "The webhook is disabled.")
        count = self.webhooks.replay(hook, since)
        return self.answer({"replayed_count": count, "message": f"{count} deliveries re-queued for retry"})

    # --- shared by the handlers ---

    def found(self, request: web.Request) -> Webhook:
        """The webhook of the path, or a 404."""
        hook = self.webhooks.all.get(request.match_info["id"])
        if hook is None:
            raise not_found()
        return hook

    def given(self, body: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
        """The known fields of a request, checked."""
        checks: dict[str, Callable[[Any], Any]] = {"url": _url, "events": self.events, "name": _name}
        given = {name: check(body[name]) for name, check in checks.items() if name in body}
        for name in ("url", "events"):
            if required and name not in given:
                raise invalid(**{name: f"The {name} field is required."})
        if isinstance(body.get("isActive"), bool):
            given["isActive"] = body["isActive"]
        return given

    def events(self, value: Any) -> list[str]:
        """The event names; "contact.*" only where PS33 expands it."""
        if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
            raise invalid(events="The events field must be a list of event names.")
        names: dict[str, None] = {}
        for name in value:
            family = (
                name.removesuffix("*") if name.endswith(".*") and self.switches.ps33 == "expanded" else None
            )
            known = [event for event in EVENTS if event == name or (family and event.startswith(family))]
            if not known:
                raise invalid(events="The events field holds an unknown event.")
            names |= dict.fromkeys(known)
        return list(names)

    def view(self, hook: Webhook) -> dict[str, Any]:
        """A webhook as it reads."""
        return {
            "id": hook.id,
            "url": hook.url,
            "events": hook.events,
            "name": hook.name,
            "isActive": hook.active,
            "consecutiveFailures": hook.failures,
            "createdUtc": self.store.time(hook.created),
        }

    def delivery(self, one: Delivery) -> dict[str, Any]:
        """A delivery as it reads (model WebhookDelivery)."""
        return {
            "id": str(one.id),
            "eventId": one.event_id,
            "eventType": one.event,
            "status": one.status,
            "attemptCount": one.attempts,
            "createdUtc": self.store.time(one.created),
            "deliveredUtc": self.store.time(one.delivered) if one.delivered else None,
            "lastAttemptUtc": self.store.time(one.last_attempt) if one.last_attempt else None,
            "lastStatusCode": one.last_status,
            "lastDurationMs": one.last_ms,
            "lastError": one.last_error,
        }

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        """A JSON answer, whole numbers as PS10 says."""
        return answer(numbers_as_text(body) if self.switches.ps10 == "string" else body, status, headers)


def _url(value: Any) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if (
        parts
        and parts.hostname
        and (parts.scheme == "https" or (parts.hostname in _LOOPBACK and parts.scheme == "http"))
    ):
        return str(value)
    raise invalid(url="The url field must be an HTTPS address.")


def _name(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise invalid(name="The name field must be a string.")
