"""The one way out to a vendor: limited, timed, and every foreign error turned into one of ours in this file.

Error texts name the method and the route's template only: an address, a query, a body can hold personal data.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Literal, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from daemon.domain.errors import (
    AccessDenied,
    Duplicate,
    NotFound,
    NotWritable,
    RateLimited,
    Rejected,
    Retryable,
    Stale,
    UnknownOutcome,
    VendorError,
)
from daemon.domain.events import Exchange
from daemon.vendors.exchanges import exchange
from daemon.vendors.limiter import Limiter, Priority

T = TypeVar("T")

# Called once per call with the route, the status (None without an answer) and the seconds it took.
OnCall = Callable[[str, int | None, float], None]

# What a call is for decides what its failure means: a "read" may always be repeated, as may a write that does
# nothing the second time; a "conditional" write carries an If-Match; a "create" may meet a record that is there.
Intent = Literal["read", "write", "conditional", "create"]

# These happen before the first byte leaves, so even a write has certainly done nothing.
NOTHING_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)

CONNECT_SECONDS = 10.0
LEAST_SECONDS = 3.0
"""A write that may not take so long is not begun: it would end without an answer."""
RETRY_AFTER_UNSAID = 10.0
RETRY_AFTER_MOST = 3600.0
FIELD_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.\[\]]{0,79}")
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

# Every escape of a JSON text from left to right, so that the second half of a pair, and a "u" behind an escaped
# backslash, are never taken for one of their own. The group is what stays as it is.
ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89a-fA-F])|\\[^u])"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def utc_now() -> datetime:
    """The machine's clock, aware."""
    return datetime.now(UTC)


class Route(msgspec.Struct, frozen=True):
    """A call that a vendor offers. `template` is its path with named segments: `/api/v1/projects/{id}`."""

    method: str
    template: str
    intent: Intent = "read"

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def path(self, segments: Mapping[str, str]) -> str:
        """The template with each segment quoted whole; ValueError on one that would name another route."""
        return self.template.format_map({name: _quoted(text) for name, text in segments.items()})

    def unanswered(self, what: str, status: int | None = None) -> VendorError:
        """The error for a call that left and brought nothing usable back: only a read may be repeated."""
        error = Retryable if self.intent == "read" else UnknownOutcome
        return error(f"{self}: {what}", status=status)


class Answer(msgspec.Struct, frozen=True):
    """A successful answer. A 204 reads as JSON `null`."""

    route: Route
    status: int
    headers: Mapping[str, str]
    body: bytes

    def decoded(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The body as the decoder's type. A body that is not that JSON counts as no answer at all."""
        try:
            self.body.decode()  # Raw values are skipped over, not looked into: broken UTF-8 must show here
            return decoder.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.unreadable() from None

    def unreadable(self) -> VendorError:
        """The error for an answer that makes no sense: Retryable for a read, UnknownOutcome for a write."""
        return self.route.unanswered(f"unreadable answer with {self.status}", self.status)


class Endpoint:
    """A vendor's address behind a limiter. Every call of both clients passes through `call`.

    `timeout` is in seconds, for one call from leaving the limiter to the last byte; a write is over before `left`
    seconds are. `clock` is only asked to read a Retry-After that is a date. `ask` is a call that does nothing and that
    the vendor answers when it is there. The session must not follow cookies from one tenant to another.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        limiter: Limiter,
        *,
        ask: Callable[[], Awaitable[object]],
        timeout: float = 30.0,
        clock: Callable[[], datetime] = utc_now,
        on_call: OnCall | None = None,
        left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._limiter = limiter
        self._timeout = timeout
        self._left = left
        self._clock = clock
        self._on_call = on_call
        self._ask = ask
        self._reach = limiter.reach
        self._priority = Priority.LIVE

    def at(self, priority: Priority) -> Self:
        """The same endpoint for calls of another priority."""
        other = copy(self)
        other._priority = priority
        return other

    def fits(self, priority: Priority, calls: int) -> bool:
        """Whether so many calls of a priority could leave now."""
        return self._limiter.fits(priority, calls)

    async def call(
        self,
        route: Route,
        *,
        segments: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call; `body` leaves as JSON, `form` as a form. Raises a VendorError for all but a 2xx.

        A body of bytes is JSON already and leaves byte for byte.

        Retryable, RateLimited: try later. UnknownOutcome: look before repeating. Rejected: refused for good.
        """
        url = URL(self._base_url + route.path(segments or {}), encoded=True)
        sent = {"Accept": "application/json", **(headers or {})}
        data: bytes | Mapping[str, str] | None = form
        if body is not None:
            data = body if isinstance(body, bytes) else _json(route, body)
            sent["Content-Type"] = "application/json"
        await self.reach()
        answer = None
        try:
            async with self._limiter.slot(self._priority) as number:
                self._reach.check()  # it may have gone away meanwhile
                answer = await self._exchange(route, url, query, sent, data)
                self._heed(answer, number)
            if answer.status >= 300:
                raise self._refusal(answer)
        except VendorError as error:
            if route.intent != "read":
                error.exchange = _told(route, url.update_query(query or {}), sent, data, answer)
            raise
        return answer

    async def reach(self) -> None:
        """Return if the vendor is there as far as is known; raises VendorAway. Who comes when it is time looks first."""
        await self._reach.look(self._ask)

    async def _exchange(
        self,
        route: Route,
        url: URL,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        data: bytes | Mapping[str, str] | None,
    ) -> Answer:
        timeout = self._patience(route)
        status = None
        started, left, broken = time.perf_counter(), self._reach.left(), False
        try:
            async with self._session.request(
                route.method,
                url,
                params=query,
                headers=headers,
                data=data,
                timeout=timeout,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                status = response.status
                self._compare_clocks(response.headers.get("Date", ""))
                answer = Answer(route, status, response.headers, await _body(response))
                broken = status >= 500 and self._retry_after(answer) is None
                return answer
        except NOTHING_SENT:
            broken = True
            raise Retryable(f"{route}: no connection") from None
        except TimeoutError:
            broken = True
            raise route.unanswered("timed out") from None
        except (aiohttp.ClientError, OSError):
            broken = True
            raise route.unanswered("the connection broke") from None
        finally:
            if broken:
                self._reach.failed(left)
            elif status is not None:
                self._reach.answered(left)
            if self._on_call:
                self._on_call(str(route), status, time.perf_counter() - started)

    def _patience(self, route: Route) -> aiohttp.ClientTimeout:
        """How long a call may take, now that it leaves. Raises Retryable when our right to call ends before."""
        left = self._left()
        if left < (0.0 if route.intent == "read" else LEAST_SECONDS):
            raise Retryable(f"{route}: the lease may end before the answer comes")
        total = self._timeout if route.intent == "read" else min(self._timeout, left)
        return aiohttp.ClientTimeout(total=total, connect=min(total, CONNECT_SECONDS))

    def _compare_clocks(self, said: str) -> None:
        """What an answer says of the vendor's clock: whole seconds, so half a second more on average."""
        if (moment := _http_date(said)) is not None:
            self._reach.skew = (moment - self._clock()).total_seconds() + 0.5

    def _heed(self, answer: Answer, number: int) -> None:
        """Tells the limiter, and thereby all its users, how long to wait, or how many calls are left."""
        if (wait := self._retry_after(answer)) is not None:
            self._limiter.pause(wait)
        left, reset = (_seconds(answer.headers.get(f"RateLimit-{name}")) for name in ("Remaining", "Reset"))
        if left is not None and reset is not None:
            self._limiter.hear(number, int(left), reset)

    def _refusal(self, answer: Answer) -> VendorError:
        route, status = answer.route, answer.status
        if (wait := self._retry_after(answer)) is not None:
            return RateLimited(f"{route} answered {status}", retry_after=wait, status=status)
        if status >= 500:
            return route.unanswered(f"answered {status}", status)
        reason = ", ".join(_refused_fields(answer.body))
        message = f"{route} answered {status}" + (f" for {reason}" if reason else "")
        return _rejection(route.intent, status)(message, status=status, reason=reason)

    def _retry_after(self, answer: Answer) -> float | None:
        """Seconds to wait after a 429, or a 503 that says how long; None for every other answer."""
        said = answer.headers.get("Retry-After")
        match answer.status:
            case 429:
                wait = self._seconds_until(said, answer)
                return RETRY_AFTER_UNSAID if wait is None else wait
            case 503:
                return self._seconds_until(said, answer)
        return None

    def _seconds_until(self, said: str | None, answer: Answer) -> float | None:
        if (seconds := _seconds(said)) is not None or said is None:
            return seconds
        # A date is measured against the vendor's own clock when the answer carries it.
        moment, sent = _http_date(said), _http_date(answer.headers.get("Date", ""))
        if moment is None:
            return None
        return min(max(0.0, (moment - (sent or self._clock())).total_seconds()), RETRY_AFTER_MOST)


def _rejection(intent: Intent, status: int) -> type[Rejected]:
    match status, intent:
        case ((401 | 403), _):
            return AccessDenied
        case 404, _:
            return NotFound
        case ((409 | 412), "conditional"):
            return Stale
        case ((409 | 412), "create"):
            return Duplicate
    return Rejected


def _quoted(text: str) -> str:
    # An empty segment would turn `DELETE /contacts/{id}` into a call on the whole list, dots on its parent.
    if text in ("", ".", ".."):
        raise ValueError("a path segment must be an id")
    return quote(text, safe="")


def _json(route: Route, body: object) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # half of a surrogate pair: no JSON can hold it
        raise NotWritable(f"{route}: a text is not valid Unicode") from None


def _told(
    route: Route,
    url: URL,
    sent: Mapping[str, str],
    data: bytes | Mapping[str, str] | None,
    answer: Answer | None,
) -> Exchange:
    """What is kept of a write that failed; a form is not, since it holds a secret."""
    body = data if isinstance(data, bytes) else b""
    if answer is None:
        return exchange(route.method, url.raw_path_qs, sent, body, None, {}, b"")
    return exchange(route.method, url.raw_path_qs, sent, body, answer.status, answer.headers, answer.body)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    try:
        body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        if response.status < 300:
            raise
        return b""  # refused, and the status alone says how
    return b"null" if response.status == 204 else _whole(body)


def _whole(body: bytes) -> bytes:
    """The body with U+FFFD for each half of a surrogate pair: one such letter would make a whole list unreadable."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return ESCAPE.sub(lambda escape: escape[1] or rb"\ufffd", body)


class _Problem(msgspec.Struct):
    """Both vendors' refusals: problem+json `errors` (Propstreet), `modelState` (Vitec)."""

    errors: dict[str, msgspec.Raw] | None = None
    model_state: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="modelState")


_PROBLEM = msgspec.json.Decoder(_Problem)


def _refused_fields(body: bytes) -> list[str]:
    try:
        problem = _PROBLEM.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    names = {*(problem.errors or ()), *(problem.model_state or ())}
    return sorted(name for name in names if FIELD_NAME.fullmatch(name))


def _seconds(said: str | None) -> float | None:
    if said is None or not SECONDS.fullmatch(said.strip()):
        return None
    return min(float(said), RETRY_AFTER_MOST)


def _http_date(said: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
