"""The access token of a Propstreet client registration (client credentials)."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from daemon.domain.errors import AccessDenied, Rejected
from daemon.pulse import turn
from daemon.vendors.http import Endpoint, Route

REQUEST = Route("POST", "/openid/token")  # intent "read": asking twice does no harm
SCOPE = "api:public"
MARGIN = timedelta(seconds=60)


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


# Numbers may come as strings (PS10).
_GRANT = msgspec.json.Decoder(_Grant, strict=False)


class TokenSource:
    """Keeps one token, renews it a minute before its end, and asks for one at a time however many wait.

    A grant that names no end is used until a call is refused with 401 (propstreet, token request).
    """

    def __init__(
        self, endpoint: Endpoint, client_id: str, client_secret: str, *, clock: Callable[[], datetime]
    ) -> None:
        self._endpoint = endpoint
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at: datetime | None = None

    async def current(self, *, refused: str | None = None) -> str:
        """The token to use now; a `refused` one is replaced unless somebody else already did so.

        Raises AccessDenied when the vendor does not accept the client id and secret.
        """
        async with turn(self._lock):
            token = self._token
            if token is None or token == refused or (self._renew_at and self._renew_at <= self._clock()):
                token = await self._renewed()
            return token

    async def _renewed(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "scope": SCOPE,
        }
        try:
            grant = (await self._endpoint.call(REQUEST, form=form)).decoded(_GRANT)
        except Rejected as refusal:
            # OAuth lets a server say invalid_client with 400 as well as with 401.
            raise AccessDenied(f"{REQUEST} answered {refusal.status}", status=refusal.status or 401) from None
        self._token = grant.access_token
        self._renew_at = None
        if grant.expires_in is not None:
            life = timedelta(seconds=grant.expires_in)
            self._renew_at = self._clock() + max(life - MARGIN, life / 2)
        return self._token
