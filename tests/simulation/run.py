"""One story, told to its end: the world is set up, everything happens at its time, and then the oracles are asked.

The same story gives the same log, byte for byte: nothing in it takes its time, its chance or its order from elsewhere.
"""

import asyncio
import gc
import hashlib
import random
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from daemon import telemetry
from daemon.cli.losses import bring_back
from daemon.domain.errors import UsageError, WrongExpectedVersion
from daemon.domain.events import Event
from daemon.domain.settings import (
    Limits,
    PropstreetSettings,
    Secret,
    SyncSettings,
    TenantSettings,
    VitecSettings,
)
from daemon.domain.streams import PROPSTREET
from daemon.domain.subscriptions import path_of
from daemon.processor import Tenant, options_of
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.propstreet.webhooks import EVENTS
from daemon.sandbox.twins.server import Allowance, RateLimit, Window
from daemon.sandbox.twins.vitec_connect import Switches as VitecSwitches
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.sandbox.world import PATH_SECRET, TENANT, WEBHOOK_SECRET
from daemon.storage import log, rebuild, views, working
from daemon.storage.appender import Appender
from projections.commands import OPEN
from projections.entity import RECENT
from projections.views import VIEWS
from tests.simulation.bench import Violation
from tests.simulation.figures import Figures
from tests.simulation.loop import LIFE, VirtualLoop, forever
from tests.simulation.machine import HOST, Machine
from tests.simulation.network import Network, Weather
from tests.simulation.oracles import examined
from tests.simulation.people import People
from tests.simulation.steps import (
    AnyStep,
    BackupRestored,
    ByMachine,
    ByPeople,
    ByVendors,
    ClockJump,
    ConnectionLost,
    Crash,
    DatabaseAway,
    Deliveries,
    Faults,
    GoLive,
    Lead,
    OperatorRestores,
    Pause,
    Story,
    ThirdParty,
    TokenExpired,
    WebhookOff,
)
from tests.simulation.truth import Truth

PATIENCE: Final = 3 * 3600.0
"""Virtual seconds after the last step within which everything has to be quiet: several of the longest retry pauses."""

HANGING: Final = 40.0
"""Seconds after which the daemon has given up a call that nobody answers."""

ENDLESS: Final = 5_000
"""Events; a story has a few hundred. Whoever writes more writes for ever."""

USUAL: Final = {
    "first_sync": "now",
    "note": "strategy",
    "categories": CATEGORIES,
    "company_categories": COMPANY_CATEGORIES,
}

BELIEVED: Final = 290.0
"""Seconds that a signature's time may be off, and a little less."""
FREE: Final = (0, 0, 0)


class Counted(RateLimit):
    """A vendor's windows, counted by true time: its clock may be set."""

    def __init__(self, loop: VirtualLoop, limits: tuple[int, int, int]) -> None:
        super().__init__(
            *(Window(n, span, sliding=True) for n, span in zip(limits, (1, 60, 3600), strict=True))
        )
        self._loop = loop

    def take(self, _: datetime) -> Allowance:
        """Count a call now."""
        return super().take(datetime.fromtimestamp(self._loop.now, UTC))


class Result(Struct):
    """How a story ended: a digest of its log, what was counted, and everything that should not have been."""

    seed: int
    digest: str
    figures: Figures
    findings: list[Violation] = []
    virtual: float = 0.0


def simulate(story: Story, database: Any) -> Result:
    """Tell a story on an empty database; `database` is the stand-in, or a real one."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    telemetry.setup("critical", console=False)
    quiet, sys.unraisablehook = sys.unraisablehook, lambda _: None
    gc.disable()  # what was killed must not run its last words in the middle of the story
    try:
        return loop.run_until_complete(World(story, loop, database).told())
    finally:
        asyncio.set_event_loop(None)
        with warnings.catch_warnings():  # whoever was killed never gets to what it awaited
            warnings.simplefilter("ignore", RuntimeWarning)
            loop.bury()
            gc.enable()
            gc.collect()
        sys.unraisablehook = quiet


class World:
    """Both vendors with their people, the network between them, and the machine with the daemon."""

    def __init__(self, story: Story, loop: VirtualLoop, database: Any) -> None:
        knobs, chance = story.knobs, random.Random(story.seed)
        self.story = story
        self.loop = loop
        self.database = database
        self._pool = database.pool(_unhindered)
        self.began = datetime.fromisoformat(knobs.start)
        self.skew = {"vitec": knobs.vitec_skew, "propstreet": knobs.propstreet_skew}
        self.vitec = VitecConnectTwin(
            VitecSwitches(**knobs.vitec), seed=story.seed, clock=self._clock("vitec")
        )
        self.propstreet = PropstreetTwin(
            PropstreetSwitches(**{"ps5": "accepted", **knobs.propstreet}),
            seed=story.seed,
            limits=None,
            clock=self._clock("propstreet"),
        )
        if knobs.limits is not None:
            self.vitec.switches.vs30 = "seconds"
            self.vitec.enforce(Counted(loop, knobs.limits))
            self.propstreet.gate.limits = Counted(loop, knobs.limits)
        self.network = Network(loop, random.Random(chance.getrandbits(64)))
        self.network.weather = Weather(quick=knobs.latency[1])
        self.epochs: list[tuple[int, int]] = []
        lives = count(1)
        self.machines = [
            Machine(
                *(
                    loop,
                    self.network,
                    database,
                    self._settings(),
                    knobs.mode,
                    self.began,
                    chance.getrandbits(64),
                ),
                me=UUID(int=n + 2),
                lives=lives,
                epochs=self.epochs,
            )
            for n in range(knobs.daemons)
        ]
        self.network.gate = self._at_the_network
        self.truth = Truth(self.vitec, self.propstreet, lambda: loop.now)
        self.people = People(self.vitec, self.propstreet, self.truth)
        self._backups: dict[BackupRestored, Any] = {}
        self.events: list[Event] = []
        self.views: dict[str, list[dict[str, Any]]] = {}

    @property
    def machine(self) -> Machine:
        """The one that has the tenant, or the first."""
        return next((each for each in self.machines if each.up), self.machines[0])

    async def _at_the_network(self, operation: str) -> None:
        for machine in self.machines:
            if machine.life == LIFE.get():
                await machine.at_the_network(operation)
                return
        await forever()  # whoever asked is dead

    def _clock(self, vendor: str) -> Callable[[], datetime]:
        return lambda: self.began + timedelta(seconds=self.loop.now + self.skew[vendor])

    def _settings(self) -> TenantSettings:
        knobs = self.story.knobs
        second, minute, hour = knobs.limits or FREE
        limits = Limits(per_second=second, per_minute=minute, per_hour=hour, concurrency=8)
        return TenantSettings(
            name=TENANT,
            vitec=VitecSettings(
                base_url="http://vitec.test",
                customer_id=self.vitec.customer_id,
                username=self.vitec.username,
                password=Secret(self.vitec.password),
                webhook_secret=Secret(PATH_SECRET),
                poll_interval=knobs.poll,
                limits=limits,
            ),
            propstreet=PropstreetSettings(
                base_url="http://propstreet.test",
                client_id=self.propstreet.client_id,
                client_secret=Secret(self.propstreet.client_secret),
                webhook_secret=Secret(WEBHOOK_SECRET),
                poll_interval=knobs.poll,
                limits=limits,
            ),
            sync=msgspec.convert({**USUAL, **knobs.sync}, SyncSettings),
        )

    # --- the course of it ---

    async def told(self) -> Result:
        """Everything from the beginning to the verdict."""
        self._connect()
        self.people.move_in(self.story.population)
        for machine in self.machines:
            machine.start()
        for step in self.story.steps:
            if isinstance(step, BackupRestored):
                self.loop.call_at(max(0.0, step.at - step.age), self._back_up, step)
        for step in self.story.steps:
            await asyncio.sleep(max(0.0, step.at - self.loop.now))
            await self.do(step)
        await self._calm_down()
        going_on = await self._quiet()
        async with self._pool.acquire() as conn:
            return await self._verdict(conn, going_on)

    def _connect(self) -> None:
        for host, twin in (("vitec.test", self.vitec), ("propstreet.test", self.propstreet)):
            self.network.listen(host, twin.app)
            twin.faults.timeout = 40.0
        self.vitec.notifier._session = self.network.session("vitec")
        self.propstreet.webhooks._session = self.network.session("propstreet")
        self.network.told = self.truth.called
        if self.story.knobs.webhooks:
            self.vitec.subscribe(f"http://{HOST}/webhooks/vitec/{TENANT}/{PATH_SECRET}")
            address = f"https://{HOST}{path_of(PROPSTREET, TENANT)}"
            for machine in self.machines:
                machine.address = address
            self.propstreet.add_webhook(address, secret=WEBHOOK_SECRET)

    async def do(self, step: AnyStep) -> None:
        """Let a step happen."""
        if isinstance(step, ByPeople):
            self.people.do(step)
        elif isinstance(step, ByMachine):
            await self._to_the_machine(step)
        else:
            self._around(step)

    def _around(self, step: ByVendors | Lead) -> None:
        """What happens at the vendors, and on the web."""
        match step:
            case Faults():
                self._faults(step)
            case Deliveries():
                self._deliveries(step)
            case TokenExpired():
                self.propstreet.expire_tokens()
            case ClockJump(vendor=vendor, seconds=seconds):
                self.skew[vendor] += seconds
            case ThirdParty():
                self.people.bridge(step)
            case WebhookOff():
                self._switch_off(step)
            case Lead():
                self.loop.create_task(self._post(step))

    async def _to_the_machine(self, step: ByMachine) -> None:
        match step:
            case Crash(operation=None):
                self.machine.crash(step.pause)
            case Crash(operation=operation):
                self.machine.crashes[self.machine.operations + (operation or 1)] = step.pause
            case Pause(seconds=seconds):
                self.machine.pause(seconds)
            case BackupRestored():
                self._restore_backup(step)
            case DatabaseAway(seconds=seconds):
                for machine in self.machines:
                    machine.lose_database(seconds)
            case ConnectionLost():
                for machine in self.machines:
                    machine.lose_connections()
            case GoLive():
                await self._go_live()
            case OperatorRestores():
                await self._restore()

    def _switch_off(self, step: WebhookOff) -> None:
        hooks = self.propstreet.webhooks
        for hook in list(hooks.all.values()):
            match step.how:
                case "disabled":
                    hooks.disable(hook)
                case "removed":
                    hooks.remove(hook)
                case "fewer":
                    hook.events = hook.events[:3]

    def _is_told(self) -> bool:
        """Whether Propstreet would tell us of everything. Of one whose clock is minutes off no delivery is believed."""
        if abs(self.skew["propstreet"]) > BELIEVED:
            return True
        hooks = self.propstreet.webhooks.all.values()
        return not self.story.knobs.webhooks or any(
            hook.active and {*EVENTS} <= {*hook.events} for hook in hooks
        )

    def _faults(self, step: Faults) -> None:
        faults = (self.vitec if step.vendor == "vitec" else self.propstreet).faults
        for kind, share in step.shares.items():
            if kind in ("refused", "lost", "crawling"):
                self._weather(kind, share, step.seconds)
            else:
                faults.random_rate(kind, share)  # type: ignore[arg-type]  # the story's own word for it
                self.loop.call_later(step.seconds, faults.random_rate, kind, 0.0)  # type: ignore[arg-type]

    def _weather(self, kind: str, share: float, seconds: float) -> None:
        setattr(self.network.weather, kind, share)
        self.loop.call_later(seconds, setattr, self.network.weather, kind, 0.0)

    def _deliveries(self, step: Deliveries) -> None:
        delivery = (self.vitec if step.vendor == "vitec" else self.propstreet).faults.delivery
        for name, usual in {"drop": 0.0, "copies": 1, "shuffle": False, "delay": 0.0}.items():
            setattr(delivery, name, getattr(step, name))
            self.loop.call_later(step.seconds, setattr, delivery, name, usual)

    async def _go_live(self) -> None:
        for machine in self.machines:
            await machine.stop()
            machine.mode = "live"
            machine.start()

    def _back_up(self, step: BackupRestored) -> None:
        self._backups[step] = self.database.copy()

    def _restore_backup(self, step: BackupRestored) -> None:
        """What was known is forgotten, and everybody else remembers."""
        for machine in self.machines:
            machine.crash(step.pause)
        self.epochs.clear()
        self.database.become(self._backups.pop(step))

    async def _restore(self) -> None:
        """The operator brings the newest lost value back, if there is one and it can be."""
        pool = self._pool
        appender = Appender(pool, TENANT, clock=self.machine.clock)
        tenant = Tenant(self._settings(), self.machine.mode, pool, appender, self.machine.clock)
        await appender.start()
        async with pool.acquire() as conn:
            lost = await views.conflicts(conn, TENANT, None, restores=False)
            with suppress(UsageError, WrongExpectedVersion):
                if lost:
                    ruling = await bring_back(conn, tenant, lost[-1].row.conflict)
                    await appender.append(ruling.items, expected=ruling.expected)
        await appender.stop()

    async def _post(self, step: Lead) -> None:
        """Somebody's browser posts a lead, and tries again when nobody answers."""
        path, body = self.people.request(step)
        session = self.network.session("visitor")
        for pause in (1.0, 5.0, 30.0, 60.0, 120.0):
            try:
                async with session.post(
                    f"http://{HOST}{path}", data=msgspec.json.encode(body), headers=JSON
                ) as answer:
                    if answer.ok or answer.status < 500:
                        return
            except Exception:
                pass
            await asyncio.sleep(pause)

    async def _calm_down(self) -> None:
        """Nothing goes wrong any more, and everybody goes home."""
        for machine in self.machines:
            machine.crashes.clear()
        self.network.weather = Weather(quick=self.story.knobs.latency[1])
        for twin in (self.vitec, self.propstreet):
            twin.faults.clear()

    # --- quiet ---

    async def _quiet(self) -> str:
        """Wait until nothing is under way, and then two rounds of polls longer: they must not find anything new.

        Returns what is still going on when patience is at its end.
        """
        end, round_ = self.loop.now + PATIENCE, 2.2 * self.story.knobs.poll + 5.0
        going_on = ""
        while self.loop.now < end:
            before = await self._head()
            await asyncio.sleep(round_)
            going_on = await self._going_on()
            if not going_on and await self._head() == before:
                return ""
            if before > ENDLESS:
                break
        return going_on or "the log grows"

    async def _head(self) -> int:
        async with self._pool.acquire() as conn:
            return await log.head(conn, TENANT)

    async def _going_on(self) -> str:
        """What is under way, or waits for something that will come by itself."""
        if not self.machine.up:
            return "the daemon is down"
        if any(machine.still for machine in self.machines):
            return "a daemon stands still"
        if resting := [name for machine in self.machines for name in machine.resting]:
            return f"resting: {', '.join(resting)}"
        now = self.loop.now
        if any(c.answered is None and now - HANGING < c.sent < now - 5.0 for c in self.truth.calls.values()):
            return "a call hangs"
        if not self._is_told():
            return "our webhook at Propstreet is not as it should be"
        async with self._pool.acquire() as conn:
            head = await log.head(conn, TENANT)
            places = (await views.position(conn, TENANT), await working.checkpoint(conn, TENANT, "react"))
            waiting = await views.commands_in(conn, TENANT, sorted(OPEN))
            soon = self.began + timedelta(seconds=self.loop.now) + 2 * RECENT
            needs = [n for v in ("vitec", "propstreet") for n in await views.needs(conn, TENANT, v, soon)]
        if places != (head, head):
            return f"views and decisions are at {places} of {head}"
        if waiting:
            return f"commands: {', '.join(f'{c.category} at {c.target} {c.state}' for c in waiting)}"
        return f"reads: {', '.join(f'{n.category} at {n.vendor}' for n in needs)}" if needs else ""

    # --- the verdict ---

    async def _verdict(self, conn: Any, going_on: str) -> Result:
        events = [event async for page in log.pages(conn, TENANT) for event in page]
        rows = {
            view: [views.plain(row) async for row in views.live_rows(conn, view, TENANT)] for view in VIEWS
        }
        self.events, self.views = events, rows
        findings, figures = examined(self)
        if going_on:
            findings.insert(0, Violation("quiet", "the world", f"at {self.loop.now:.0f} s: {going_on}"))
        findings += [
            Violation("running", "the daemon", text) for each in self.machines for text in each.failed
        ]
        findings += await self._refolded(conn, len(events))
        figures.lives = sum(machine.begun for machine in self.machines)
        return Result(self.story.seed, digest_of(events), figures, findings, self.loop.now)

    async def _refolded(self, conn: Any, head: int) -> list[Violation]:
        """The views equal a fresh fold, and folding appends nothing."""
        options = self.machine.tenant.options if self.machine.tenant else options_of(self._settings())
        found = [
            Violation(
                "refold", each.view, f"{each.entity} {each.field}: the view is not what a fresh fold gives"
            )
            for each in await rebuild.compare(conn, TENANT, options)
        ]
        if await log.head(conn, TENANT) != head:
            found.append(Violation("refold", "the log", "folding appended something"))
        return found


JSON: Final = {"Content-Type": "application/json"}


async def _unhindered(_: str) -> None:
    """A look from outside takes no time and never fails."""


def digest_of(events: list[Event]) -> str:
    """A fingerprint of a whole log: every column of every event."""
    digest = hashlib.blake2b(digest_size=16)
    for event in events:
        digest.update(msgspec.json.encode(event))
    return digest.hexdigest()
