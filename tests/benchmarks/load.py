"""The load: signed Propstreet webhooks over keep-alive connections, each connection asking anew once it is answered.

    python -m tests.benchmarks.load URL CONNECTIONS SECONDS

Everything is made and signed beforehand, so that little but sending and counting happens while the clock runs.
It runs in a process of its own and prints one `Load` as JSON.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from daemon.domain.signatures import key_of
from daemon.sandbox.world import TENANT, WEBHOOK_SECRET
from tests.benchmarks.corpus import propstreet_webhook

RECORDS: Final = 2_000
AT_MOST: Final = 20_000
"""Webhooks a second that are made ready: nobody answers more."""

WARM_UP: Final = 1.0
"""Seconds before the clock runs."""

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONTACTS: Final = [number for number in range(RECORDS * 2) if number % 10 != 9][:RECORDS]


class Load(msgspec.Struct, frozen=True):
    """What came of it: webhooks a second and times in ms in the measured span; `stored` counts from the first to the last.

    `busy` is the share of one core that the load itself took.
    """

    rate: float
    p50: float
    p99: float
    stored: int
    refused: int
    busy: float


def requests(url: str, how_many: int) -> Iterator[bytes]:
    """Signed deliveries with distinct ids, each a newer state of the next record."""
    host = urlsplit(url).netloc
    key, now = key_of(WEBHOOK_SECRET), datetime.now(UTC)
    for number in range(how_many):
        revision, record = divmod(number, RECORDS)
        at = now - timedelta(microseconds=how_many - number)
        body = propstreet_webhook(_CONTACTS[record], revision, number, at)
        delivery, timestamp = f"msg_{number:024x}", int(now.timestamp())
        signed = hmac.new(key, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        yield (
            f"POST /webhooks/propstreet/{TENANT} HTTP/1.1\r\n"
            f"host: {host}\r\n"
            "user-agent: Propstreet-Webhooks/1.0\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"webhook-id: {delivery}\r\n"
            f"webhook-timestamp: {timestamp}\r\n"
            f"webhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n"
        ).encode() + body


class Run:
    """The requests that all connections draw from, and what they saw."""

    def __init__(self, ready: list[bytes]) -> None:
        self.ready = iter(ready)
        self.ended = False
        self.took: list[float] = []
        self.stored = 0
        self.refused = 0

    def start_the_clock(self) -> None:
        """Forget the times of the warm-up."""
        self.took.clear()


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends, waits for the whole answer, sends the next."""

    def __init__(self, run: Run) -> None:
        self.idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not gap or length is None or len(body) < int(length[1]):
            return
        self._run.took.append(time.perf_counter() - self._sent)
        if head.startswith(b"HTTP/1.1 200"):
            self._run.stored += 1
        else:
            self._run.refused += 1
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.idle.done():
            self.idle.set_exception(exc or ConnectionResetError("the server hung up"))

    def _send(self) -> None:
        request = None if self._run.ended else next(self._run.ready, None)
        if request is None:
            self.idle.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


async def run(url: str, connections: int, seconds: float) -> Load:
    """Warm up, measure, and let what is under way be answered."""
    load = Run(list(requests(url, int(AT_MOST * (WARM_UP + seconds)))))
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    open_ones = []
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: Connection(load), str(address.hostname), address.port or 80
        )
        open_ones.append(connection)
    await asyncio.sleep(WARM_UP)
    load.start_the_clock()
    begun, worked = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    span, busy, took = time.perf_counter() - begun, time.process_time() - worked, sorted(load.took)
    load.ended = True
    await asyncio.gather(*(connection.idle for connection in open_ones))
    return Load(
        rate=len(took) / span,
        p50=took[len(took) // 2] * 1000,
        p99=took[len(took) * 99 // 100] * 1000,
        stored=load.stored,
        refused=load.refused,
        busy=busy / span,
    )


if __name__ == "__main__":
    found = asyncio.run(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    print(msgspec.json.encode(found).decode())
