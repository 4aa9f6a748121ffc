"""Whom the open port believes: the keys that Propstreet may sign a tenant's deliveries with."""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Final

from daemon.domain.errors import DatabaseUnreachable, InvalidSignature
from daemon.domain.settings import Secret
from daemon.domain.signatures import key_of, verify
from daemon.processor import Tenant
from daemon.storage import subscriptions
from daemon.telemetry import log

PAUSE: Final = 0.2
"""Seconds between two looks for a new key: strangers cannot make us ask the database again and again."""


class Keyring:
    """The configured key, and beside it those of the webhooks that we made, whichever process made them."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        configured = tenant.settings.propstreet.webhook_secret
        self._configured = [] if configured is None else [key_of(configured.reveal())]
        self._kept: list[bytes] = []
        self._looked = -inf
        self._looking = asyncio.Lock()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """The delivery's id; raises InvalidSignature, and DatabaseUnreachable where no key is known yet."""
        tried, asked = self._kept, asyncio.get_running_loop().time()
        try:
            return self._verified(headers, body)
        except InvalidSignature:
            async with self._looking:  # whoever comes meanwhile waits for what the first one finds
                if self._kept is tried and self._looked <= asked:
                    await self._look_again()
            if self._kept is tried:
                raise
        return self._verified(headers, body)

    def _verified(self, headers: Mapping[str, str], body: bytes) -> str:
        keys = [*self._configured, *self._kept]
        if not keys:
            raise InvalidSignature("no webhook secret is known")
        return verify(keys, headers, body, self._tenant.clock().timestamp())

    async def _look_again(self) -> None:
        """Look for keys that were kept since the last look, a little after that: a new webhook's delivery is not refused."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._looked + PAUSE - loop.time()))
        self._looked = loop.time()
        try:
            async with self._tenant.connection() as conn:
                secrets = await subscriptions.secrets(conn, self._tenant.name)
        except DatabaseUnreachable:
            if not self._configured and not self._kept:
                raise  # it may be Propstreet
            return
        found = [key for webhook, secret in secrets.items() if (key := _key(webhook, secret))]
        if found != self._kept:
            self._kept = found


def _key(webhook: str, secret: Secret) -> bytes | None:
    """A key, where what Propstreet told is one."""
    try:
        return key_of(secret.reveal())
    except ValueError:
        log.warning("ingest.secret_unreadable", subscription=webhook)
        return None
