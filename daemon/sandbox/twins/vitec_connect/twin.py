"""The twin itself: one Vitec customer on a port, its desks, and what Vitec's staff do for it."""

from collections.abc import Collection
from functools import cached_property
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.server import RateLimit
from daemon.sandbox.twins.vitec_connect.api import Api
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk
from daemon.sandbox.twins.vitec_connect.notifications import Event, Notification, Related
from daemon.sandbox.twins.vitec_connect.switches import Form, Transport


class VitecConnectTwin(LeadDesk):
    """A stand-in for Vitec Connect, with the API on `app` and the broker's hands as plain methods.

    `switches` and `faults` may be turned at any time; `journal` keeps every write. `clock` gives aware times
    and may be skewed. The constructor is Office's; the hands are those of the desks for contacts, estates,
    relations and leads.
    """

    @cached_property
    def _api(self) -> Api:
        api = Api(self)
        self.faults.failure = api.failure
        return api

    def enforce(self, limits: RateLimit) -> None:
        """Count by these windows; VS30 says whether it refuses at all, and how."""
        self._api.limits = limits

    @property
    def app(self) -> web.Application:
        """A fresh application over the same records: it may be served, stopped and served again."""
        return self._api.application()

    def subscribe(
        self,
        url: str,
        *,
        form: Form | None = None,
        transport: Transport | None = None,
        types: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        advertised_only: bool = False,
    ) -> None:
        """Vitec's staff add a receiver; form and transport come from VS1 and VS2, None is every type.

        `statuses` (notification names) limits what is told of estates and projects, and so does
        `advertised_only`: Update then means marketed and Remove no longer marketed (VS7).
        """
        self.notifier.subscribe(
            url,
            form=form,
            transport=transport,
            types=types,
            statuses=statuses,
            advertised_only=advertised_only,
        )

    def announce(
        self,
        told_type: str,
        event: Event = "Update",
        *,
        record: str | None = None,
        subtype: str | None = None,
        relations: tuple[Related, ...] = (),
        data: dict[str, Any] | None = None,
    ) -> None:
        """Tell of something the twin does not keep (a meeting, a user, an office).

        Without an id an Office is told by the customer's id or, by VS35, by its own.
        """
        if told_type == "Office" and record is None:
            customer = self.customer_id
            record = customer if self.switches.vs35 == "customer" else f"FIR{customer.removeprefix('M')}"
        self.notifier.publish(Notification(told_type, event, record, subtype, relations, data))

    async def settled(self) -> None:
        """Wait until no notification is queued or on its way."""
        await self.notifier.settled()

    async def close(self) -> None:
        """Stop delivering; the records stay."""
        await self.notifier.close()
