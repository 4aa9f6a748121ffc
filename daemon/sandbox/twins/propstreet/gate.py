"""What stands before every call: problems as answers, rate limit, tokens, journal, idempotency keys."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.sandbox.twins.journal import Entry, Journal
from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.server import RateLimit, Window

TOKEN_PATH = "/openid/token"
KEY_LIFE = timedelta(hours=24)


def windows(which: str) -> RateLimit:
    """The rate limit of PS26."""
    match which:
        case "three":
            return RateLimit(Window(20, 1), Window(600, 60), Window(10_800, 3600))
        case "sliding":
            return RateLimit(Window(600, 60, sliding=True))
        case "pat":
            return RateLimit(Window(60, 60))
        case _:
            return RateLimit(Window(600, 60))


@dataclass(slots=True, frozen=True)
class Touched:
    """What a write request did to one record, for the journal."""

    category: str
    record: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


TOUCHED = web.RequestKey("touched", Touched)


@dataclass(slots=True, frozen=True)
class Kept:
    """The answer to an earlier POST with an idempotency key."""

    at: datetime
    body: bytes
    status: int
    answer: bytes | None
    headers: dict[str, str]


class Gate:
    """Tokens, limits and keys of the one client this twin knows."""

    def __init__(
        self,
        switches: Switches,
        journal: Journal,
        clock: Callable[[], datetime],
        random: Random,
        *,
        client_id: str,
        client_secret: str,
        limits: RateLimit | None,
    ) -> None:
        self.switches = switches
        self.journal = journal
        self.clock = clock
        self.random = random
        self.client_id = client_id
        self.client_secret = client_secret
        self.limits = limits
        self.tokens: dict[str, datetime] = {}
        self.kept: dict[tuple[str, str], Kept] = {}

    # --- middlewares, outermost first ---

    @web.middleware
    async def problems(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal in the vendor's form, also those of the router (404, 405, 413)."""
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response(request.path)
        except web.HTTPException as refusal:
            headers = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else None
            return Problem(refusal.status, refusal.reason, headers=headers).response(request.path)

    @web.middleware
    async def limit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """`RateLimit-*` on every answer; 429 with `Retry-After` when there is no room."""
        if self.limits is None or request.path == TOKEN_PATH:
            return await handler(request)
        allowance = self.limits.take(self.clock())
        headers = {
            "RateLimit-Limit": str(allowance.limit),
            "RateLimit-Remaining": str(allowance.remaining),
            "RateLimit-Reset": str(allowance.reset),
        }
        if allowance.allowed:
            response = await self.problems(request, handler)
        else:
            headers["Retry-After"] = str(allowance.reset)
            detail = f"Rate limit exceeded. Please retry after {allowance.reset} seconds."
            response = Problem(429, detail).response()
        response.headers.update(headers)
        return response

    @web.middleware
    async def login(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """401 without a living token (guide authentication)."""
        if request.path != TOKEN_PATH:
            kind, _, token = request.headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or self.tokens.get(token, self.clock()) <= self.clock():
                raise Problem(
                    401, "The access token is missing or expired.", headers={"WWW-Authenticate": "Bearer"}
                )
        return await handler(request)

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write every call that came through the gate into the journal."""
        status = 500
        try:
            response = await handler(request)
            status = response.status
        except (Problem, web.HTTPException) as refusal:
            status = refusal.status
            raise
        finally:
            touched = request.get(TOUCHED)
            self.journal.append(
                Entry(
                    at=self.clock(),
                    actor="api",
                    kind="write" if touched else "read",
                    method=request.method,
                    path=request.path,
                    category=touched.category if touched else "",
                    record=touched.record if touched else "",
                    status=status,
                    changed=touched is not None and touched.before != touched.after,
                    before=touched.before if touched else None,
                    after=touched.after if touched else None,
                )
            )
        return response

    # --- tokens ---

    async def token(self, request: web.Request) -> web.Response:
        """Client credentials for a token (ref POST /api/v1/auth/clients)."""
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return answer({"error": "unsupported_grant_type"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return answer({"error": "invalid_client"}, 401)
        if form.get("scope") != "api:public":
            return answer({"error": "invalid_scope"}, 400)
        life = self.switches.ps27
        token = f"{self.random.getrandbits(256):064x}"
        self.tokens[token] = self.clock() + timedelta(seconds=3600 if life is None else life)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": life, "scope": "api:public"}
        return answer({name: value for name, value in body.items() if value is not None})

    # --- idempotency ---

    async def once(
        self, request: web.Request, make: Callable[[Any], web.Response], *, bodiless: bool = False
    ) -> web.Response:
        """Answer a POST; the same key and body within 24 hours get the first answer again (PS17).

        A `bodiless` one may come without a body.
        """
        raw = await request.read()
        slot = request.path, request.headers.get("Idempotency-Key", "")
        kept = self.kept.get(slot)
        if kept and self.clock() - kept.at < KEY_LIFE:
            if kept.body == raw:
                return again(kept)
            if self.switches.ps17 != "ignored":
                raise Problem(int(self.switches.ps17), "The Idempotency-Key was used with another body.")
        response = make({} if bodiless and not raw else decoded(raw))
        if slot[1] and response.status < 300:
            body = response.body if isinstance(response.body, bytes) else None
            headers = {
                name: response.headers[name] for name in ("Location", "ETag") if name in response.headers
            }
            self.kept[slot] = Kept(self.clock(), raw, response.status, body, headers)
        return response


def again(kept: Kept) -> web.Response:
    """The first answer once more."""
    kind = "application/json" if kept.answer is not None else None
    return web.Response(status=kept.status, body=kept.answer, content_type=kind, headers=kept.headers)


def decoded(raw: bytes) -> Any:
    """The JSON object of a request; raises Problem (400) for anything else."""
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise Problem(400, "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise Problem(400, "The request body must be a JSON object.")
    return body


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers
    )
