"""Subscriptions: our webhook at Propstreet is kept as it should be, and what both vendors send is listened for.

Only polls are relied on. So a subscription that fails loses time and no fact: what it missed is polled at once.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from daemon.domain.errors import AccessDenied, NotFound, Rejected
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.domain.subscriptions import EVENTS, TOLD, Health, State
from daemon.policies import subscribing
from daemon.policies.subscribing import Action, Complete, Enable, Found, Known, Plan, Register, Remove
from daemon.processor import Processor, Tenant
from daemon.storage import log, subscriptions, working
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient, Webhook

LOOK: Final = 60.0
"""Seconds between two looks: four of them fit into the five minutes within which a fault is to be found."""

REPLAYS: Final = 20
"""So many times a hundred deliveries are asked for again; what is more is left to the polls."""

QUIET: Final = frozenset[State](("working", "unheard", "unwatched", "none"))
"""States that nobody has to be warned of: the start has told of those that follow from the configuration."""


class Mended(msgspec.Struct, frozen=True):
    """How our webhook is after a look, what was done, what Propstreet refused (and why), how many deliveries come again."""

    plan: Plan
    done: tuple[Action, ...] = ()
    refused: tuple[tuple[Action, str], ...] = ()
    replayed: int = 0


class SubscriptionKeeper(Processor):
    """Looks after a tenant's subscriptions once a minute. Without an `address` of ours at Propstreet it only listens.

    In observe mode, too: to be told of changes writes nothing into anybody's records.
    """

    def __init__(self, tenant: Tenant, client: PropstreetClient, address: str | None) -> None:
        super().__init__("subscriptions", tenant, every=LOOK)
        self._client = client.at(Priority.READ_BACK)
        self._address = address
        self._listening = tenant.clock()

    async def start(self) -> None:
        """From now on whatever is sent would be heard; what polls brought before proves nothing."""
        self._listening = self.at.clock()
        for vendor in (PROPSTREET, VITEC):
            health = await self.health(vendor)
            await self._keep(msgspec.structs.replace(health, unheard=0))

    async def tick(self) -> bool:
        """Listen, then look: the database is there when a vendor is not."""
        for vendor in (PROPSTREET, VITEC):
            await self._listen(vendor)
        if self._address is not None:
            await self.mend()
        return False

    async def health(self, vendor: str) -> Health:
        """How a vendor's subscription was when it was looked at last."""
        async with self.at.connection() as conn:
            known = await subscriptions.healths(conn, self.tenant)
            if vendor in known:
                return known[vendor]
            return Health(vendor, "unknown", self.at.clock(), position=await log.head(conn, self.tenant))

    # -- by ear

    async def _listen(self, vendor: str) -> None:
        """Take in what the log says of deliveries; of Vitec, and of Propstreet without an address, it says all there is."""
        before = await self.health(vendor)
        async with self.at.connection() as conn:
            head = await log.head(conn, self.tenant)
            came = await subscriptions.deliveries(
                conn, self.tenant, vendor, before.position, head, self._listening
            )
        health = subscribing.heard(before, came.heard_at, came.polled, head)
        if vendor == VITEC or self._address is None:
            health = subscribing.by_ear(health, self._listening, self.at.clock(), self._else(vendor, health))
        await self._told(before, health)

    def _else(self, vendor: str, health: Health) -> State:
        """What a subscription that cannot be looked at is, as long as it is not silent."""
        settings = self.at.settings
        secret = settings.vitec.webhook_secret if vendor == VITEC else settings.propstreet.webhook_secret
        if secret is None:
            return "none"
        if vendor == VITEC:
            return "working" if health.heard_at is not None else "unheard"
        return "unwatched"

    async def _told(self, before: Health, health: Health) -> None:
        """Keep how a subscription is, and tell the operator when it is another way than before."""
        await self._keep(health)
        if health.state == before.state:
            return
        write = self._log.info if health.state in QUIET else self._log.warning
        facts = {"vendor": health.vendor, "state": health.state, "advice": TOLD[health.state]}
        write("subscription.state", **facts, unheard=health.unheard)

    async def _keep(self, health: Health) -> None:
        async with self.at.writing() as conn:
            await subscriptions.keep_health(conn, self.tenant, health)

    # -- by looking

    async def mend(self, *, at_once: bool = False) -> Mended:
        """Look at Propstreet's list and do what is due; `at_once`: also what was done in vain a moment ago.

        Raises VendorError where Propstreet cannot be asked.
        """
        before = await self.health(PROPSTREET)
        plan = await self._look(before)
        health = self._seen(before, plan)
        mended = Mended(plan)
        if plan.actions:
            await self._told(before, health)
            if at_once or subscribing.may_mend(before, self.at.clock()):
                health = subscribing.mending(health, self.at.clock())
                await self._keep(health)  # first: a crash in the middle must not make more and more
                mended = await self._mend(health, plan)
        after = self._seen(health, mended.plan)
        if subscribing.recovered(before, plan, mended.plan) and mended.plan.ours is not None:
            since = subscribing.replay_since(before, self.at.clock())
            mended = msgspec.structs.replace(mended, replayed=await self.fill(mended.plan.ours.id, since))
        await self._told(health, after)
        return mended

    async def ours(self) -> Found | None:
        """Our webhook, as it is listed now; raises VendorError."""
        return (await self.seen()).ours

    async def seen(self) -> Plan:
        """How our webhook is now, and what would be due; nothing is done. Raises VendorError."""
        return await self._look(await self.health(PROPSTREET))

    async def fill(self, webhook: str, since: datetime) -> int:
        """Have everything polled now, and what failed since then sent again; how many deliveries come."""
        async with self.at.connection() as conn:
            await working.ask_polls(conn, self.tenant)
        total = 0
        try:
            for _ in range(REPLAYS):
                text = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
                count = await self._client.replay_webhook(webhook, text)
                total += count
                if not count:
                    break
        except AccessDenied:
            raise
        except Rejected as refusal:  # the polls bring it
            self._log.warning("subscription.refused", kind="Replay", reason=refusal.status)
        self._log.info("subscription.replayed", subscription=webhook, count=total)
        return total

    async def _mend(self, health: Health, plan: Plan) -> Mended:
        """Do what is due. What was taken without effect is done the other way: a new webhook in the place of the old."""
        done, refused = await self._act(plan)
        after = await self._look(health, tried=True)
        if after.actions and not any(isinstance(action, Register) for action, _ in refused):
            more, no = await self._act(after)
            done, refused = [*done, *more], [*refused, *no]
            after = await self._look(health, tried=True)
        return Mended(after, tuple(done), tuple(refused))

    async def _look(self, health: Health, *, tried: bool = False) -> Plan:
        assert self._address is not None
        async with self.at.connection() as conn:
            held = await subscriptions.secrets(conn, self.tenant)
        configured = self.at.settings.propstreet.webhook_secret is not None
        found = [found_of(webhook) for webhook in await self._client.webhooks()]
        return subscribing.decide(
            found, Known(self._address, frozenset(held), configured), health, tried=tried
        )

    def _seen(self, health: Health, plan: Plan) -> Health:
        return subscribing.looked(health, plan, self._listening, self.at.clock())

    async def _act(self, plan: Plan) -> tuple[list[Action], list[tuple[Action, str]]]:
        done: list[Action] = []
        refused: list[tuple[Action, str]] = []
        for action in plan.actions:
            try:
                await self._do(action, plan.ours)
                done.append(action)
            except AccessDenied:
                raise
            except Rejected as refusal:
                reason = refusal.reason or str(refusal.status)
                refused.append((action, reason))
                self._log.warning("subscription.refused", kind=type(action).__name__, reason=reason)
        return done, refused

    async def _do(self, action: Action, ours: Found | None) -> None:
        match action:
            case Register():
                await self._register()
                return
            case Enable(webhook=webhook):
                await self._client.enable_webhook(webhook)
            case Complete(webhook=webhook, events=events):
                present = ours.events if ours is not None else frozenset[str]()
                await self._client.subscribe_webhook(webhook, [*sorted(present), *events])
            case Remove(webhook=webhook):
                try:
                    await self._client.delete_webhook(webhook)
                except NotFound:
                    return
        self._log.info("subscription.mended", kind=type(action).__name__, subscription=webhook)

    async def _register(self) -> None:
        """Make our webhook. Propstreet makes its secret and tells it only now; a configured one keeps counting beside it."""
        assert self._address is not None
        webhook, secret = await self._client.register_webhook(self._address, EVENTS, f"Toveis {self.tenant}")
        async with self.at.connection() as conn:
            await subscriptions.keep_secret(conn, self.tenant, webhook, secret, self.at.clock())
        self._log.info("subscription.registered", subscription=webhook)


def found_of(webhook: Webhook) -> Found:
    """A webhook of the list in the words of the policy."""
    return Found(
        str(webhook.id),
        webhook.url,
        frozenset(webhook.events),
        webhook.is_active,
        webhook.consecutive_failures,
    )
