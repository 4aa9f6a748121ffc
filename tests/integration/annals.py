"""A believable log of one tenant, made in memory: two vendors' people edit, Toveis decides, writes and is refused.

Nothing here touches a database. Every decision is one that `daemon.policies` took, every observation a payload in its
vendor's own words; only chance says who does what, and a seed fixes chance.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from daemon.domain.events import (
    FIRST_SYNC,
    LEAD_RECEIVED,
    NOTIFIED,
    BatchReleased,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandHeld,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    Decision,
    Event,
    NewEvent,
    Reading,
    ReconcileFinished,
    encode,
)
from daemon.domain.settings import PropstreetSettings, Secret, SyncSettings, TenantSettings, VitecSettings
from daemon.domain.streams import (
    CATEGORIES,
    LEAD,
    PROPSTREET,
    RECONCILED,
    VENDORS,
    VITEC,
    batch_id,
    derived_id,
    entity_stream,
    inbox_stream,
    relation_id,
)
from daemon.policies.brakes import CHANGES, held
from daemon.policies.linking import linked
from daemon.policies.operating import (
    Said,
    Word,
    discard_command,
    discard_entity,
    link,
    release_command,
    release_entity,
    retry_command,
    unlink,
)
from daemon.processor import options_of
from projections.entity import Entity
from tests.unit.desks import TABLE, Desk, ProjectDesk, StaleError
from tests.unit.pair import CATALOGUE, TENANT, Pair

__all__ = ["TENANT"]

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAYLOADS: Final = Path(__file__).parents[1] / "payloads"
LEADS: Final = {
    "lead": (PAYLOADS / "leads/realai_lead.json").read_bytes(),
    "final_price": (PAYLOADS / "leads/final_price_watched.json").read_bytes(),
    "interest": (PAYLOADS / "vitec/send_interest_and_contact_on_estate.json").read_bytes(),
}
LEVELS: Final = ("Assigned", "Interested", "VeryInterested", "NotInterested", "Reserved", "Archived", None)
CLASSES: Final = ("not_contacted", "contacted", "interested", "not_interested", "bidder")
STATUSES: Final = ("ForSale", "Coming", "Resting", "Sold", "NotForSale", "Booked")

Fields = dict[str, Any]
Place = tuple[str, str, str]
"""Vendor, category and id of a record."""


def tenant_settings(name: str = TENANT, **changes: Any) -> TenantSettings:
    """One office with invented credentials; `changes` replace whole parts."""
    parts: dict[str, Any] = {
        "vitec": VitecSettings(
            customer_id="M11385", username="0000", password=Secret("pw"), webhook_secret=Secret("way-in")
        ),
        "propstreet": PropstreetSettings(
            client_id="id",
            client_secret=Secret("cs"),
            webhook_secret=Secret("whsec_dG92ZWlzLXRlc3RzLWtleQ=="),
        ),
        "sync": SyncSettings(
            first_sync="now",
            note="keyword",
            categories=TABLE,
            company_categories=TABLE,
            project_status_writes=True,
        ),
    }
    return TenantSettings(name=name, **(parts | changes))


SETTINGS: Final = tenant_settings()
OPTIONS: Final = msgspec.structs.replace(options_of(SETTINGS), catalogue=CATALOGUE)


class Annals(Pair):
    """One tenant on paper in whom everything is left to chance."""

    def __init__(self, seed: int) -> None:
        rest = [category for category in CATEGORIES if category != "contact"]
        super().__init__("contact", beside=rest, options=OPTIONS, sync=SETTINGS.sync)
        self.now = NOON
        self.chance = Random(seed)
        projects = self.desk(PROPSTREET, "project")
        assert isinstance(projects, ProjectDesk)
        projects.takes_classification = False
        # what Propstreet makes of a long strategy nobody declared: such a write is unconfirmed
        self.propstreet.keeps = lambda name, value: value[:8] if name == "strategy" and value else value

    # -- who is there

    def move_in(self, people: int) -> None:
        """Those who are there before the first poll; two of three are known on both sides."""
        for n in range(people):
            category = "company" if n % 5 == 0 else "contact"
            for vendor, record in ((VITEC, person(n)), (PROPSTREET, str(1000 + n))):
                if n % 3 == 0 or vendor == (VITEC if n % 2 else PROPSTREET):
                    self.desk(vendor, category).add(record, **someone(category, n))
        for n in range(people // 3):
            self.move_in_an_estate(n)
        for vendor, category, record in self.everything():
            self.observe(vendor, category, record, first=True)
        for _ in range(3):  # what joins others comes after them
            for name in list(self.fold.entities.by_id):
                self.settle(name)

    def move_in_an_estate(self, n: int) -> None:
        """An estate with its property, somebody who is interested, a link and a note; half are known on both sides."""
        estate = f"{'PRO' if n % 3 == 0 else 'OBJ'}11385_{n}"
        name = f"Kvarteret {n}"
        self.desk(VITEC, "project").add(estate, name=name, price=1_000_000 * n, sensitive=n == 4)
        self.desk(VITEC, "property").add(estate, name=name)
        self.desk(VITEC, "prospect").add(
            relation_id(estate, person(3 * n + 1)), level=LEVELS[n % len(LEVELS)]
        )
        self.desk(VITEC, "link").add(relation_id(person(5 * n), person(3 * n)))
        self.desk(VITEC, "note").add(f"NOT{n}", parts={"contact": person(3 * n)}, text=f"Ringde {n}\n")
        if n % 2:
            classification = "active" if n % 4 == 1 else "draft"
            parts = {"project": str(7000 + n), "contact": str(1000 + 3 * n)}
            self.desk(PROPSTREET, "project").add(
                str(7000 + n), reference=estate, name=name, classification=classification
            )
            self.desk(PROPSTREET, "prospect").add(str(8000 + n), parts=parts, classification=CLASSES[n % 5])
            parts = {"contact": str(1000 + 3 * n)}
            self.desk(PROPSTREET, "note").add(str(9000 + n), parts=parts, text=f"Ringde {n}")

    # -- how it reaches the log

    def observe(
        self, vendor: str, category: str, record: str, *, first: bool = False, via: str = "poll"
    ) -> None:
        """A read of what the vendor holds now."""
        payload = self.desk(vendor, category).payload(record)
        always = via == "fetch"
        self.append(
            [
                self.as_read(
                    vendor, record, payload, self.head, via, first=first, always=always, category=category
                )
            ]
        )

    def take_in(self, kind: str) -> None:
        """A lead comes in at the open port."""
        lead = derived_id(TENANT, LEAD, kind, str(self.head))
        path = {"customerId": "M11385", "estateId": "OBJ11385_1"} if kind == "final_price" else None
        meta = encode(Reading(via="lead", kind=kind, query=path))
        stream = entity_stream(LEAD, str(lead))
        self.append([NewEvent(lead, stream, LEAD_RECEIVED, LEAD, self.now, LEADS[kind], lead, None, meta)])
        self.look_at(str(lead))

    def say(self, entity: Entity, *decisions: Decision) -> None:
        """Decisions of ours, or of an operator, about an entity."""
        self.append([self.ours(entity, decision) for decision in decisions])

    def heed(self, said: Said) -> None:
        """An operator's word goes into the log, unless it was refused."""
        if isinstance(said, Word):
            self.carry(said.plan)

    def entity_at(self, place: Place) -> Entity | None:
        """The entity of a record, if it was ever seen."""
        vendor, category, record = place
        name = self.fold.entities.by_record.get((category, vendor, record))
        return self.fold.entities.resolve(name) if name is not None else None

    # -- what Toveis does

    def settle(self, name: str) -> None:
        """Decide for an entity until nothing more is due; nothing is sent."""
        for _ in range(3):
            entity = self.fold.entities.resolve(name)
            if entity is None or not self.carry(self.plan(entity)):
                return

    def look_at(self, name: str) -> None:
        """Decide for an entity, and send what is due now and then."""
        self.settle(name)
        entity = self.fold.entities.resolve(name)
        for target in sorted(entity.pending) if entity is not None else ():
            if entity is not None and target in entity.pending and self.chance.random() < 0.7:
                (self.bring if entity.lead is not None else self.send)(entity, target)

    def send(self, entity: Entity, target: str) -> None:
        """Attempt what is pending for a target; chance says what becomes of it."""
        pending = entity.pending[target]
        if pending.state == "unknown":
            self.say(entity, CommandSuperseded(pending.command, "looked up: it was not created"))
            return
        writing = self.attempt(target, entity)
        if writing is None:
            return
        match self.chance.randrange(12):
            case 0:
                writing.fail(retry_at=self.now + timedelta(minutes=1))
            case 1:
                writing.lose()
            case 2:
                writing.refuse()
            case 3:
                writing.fail(read_again=True)
            case 4:
                writing.hold("not_writable")
            case _:
                try:
                    writing.leave().succeed()
                except StaleError:
                    writing.fail(read_again=True)

    def bring(self, lead: Entity, target: str) -> None:
        """Send a lead; what nobody knows the outcome of is held."""
        pending = lead.pending[target]
        if pending.state != "pending":
            return
        self.say(lead, CommandAttempted(pending.command, pending.attempts + 1))
        match self.chance.randrange(6):
            case 0:
                self.say(lead, CommandDeadLettered(pending.command, "typeId", 400))
            case 1:
                retry_at = self.now + timedelta(minutes=1)
                self.say(lead, CommandFailed(pending.command, "RateLimited", 429, retry_at))
            case 2:
                reason = "unknown_outcome"
                held = CommandHeld(pending.command, lead.id, LEAD, target, None, pending.want, reason, "look")
                self.say(lead, CommandUnknown(pending.command, "UnknownOutcome"), held)
            case number:
                self.say(lead, CommandSucceeded(pending.command, f"LEA{self.head}" if number > 3 else ""))

    # -- what happens next

    def happen(self) -> None:
        """One thing happens to somebody, and Toveis looks at whom it concerns."""
        self.later(self.chance.randint(1, 40))
        place = self.chance.choice(sorted(self.everything()))
        self.chance.choice(CHANCES)(self, place)
        if (entity := self.entity_at(place)) is not None:
            self.look_at(entity.id)


def person(n: int) -> str:
    """The id of the n-th of the cast at Vitec."""
    return f"ADR{n:032X}"


def someone(category: str, n: int) -> Fields:
    """All fields of the n-th of the cast. Some share an e-mail, so that a link would be a guess."""
    if category == "company":
        return {
            "name": f"Bygg {n} AB",
            "organisation_number": f"5560{n:06d}",
            "website": f"https://bygg{n}.example.se/",
            "strategy": None,
        }
    return {
        "first_name": f"Åsa{n}",
        "last_name": 'Ek, "jr" \\ {x}',
        "email": f"asa{n - n % 7 if n % 7 == 1 else n}@example.se",
        "phone": f"+4670{n:07d}",
        "strategy": "Køper\nhelst",
        "tags": ("investor",) if n % 2 else (),
    }


def retouched(chance: Random, vendor: str, category: str) -> Fields:
    """One or two fields of a record with new values."""
    n = chance.randint(1, 10**6)
    tags = chance.choice(((), ("investor",), ("vip",), ("investor", "vip")))
    choices: dict[tuple[str, str] | str, Fields] = {
        "contact": {
            "strategy": f"Ny plan {n}",
            "first_name": f"Kari{n}",
            "last_name": "L" * (n % 40),
            "phone": f"+4790{n:06d}",
            "tags": tags,
        },
        "company": {"strategy": f"Ny plan {n}", "name": f"Nye Bygg {n} AB", "website": f"bygg{n}.example.no"},
        ("project", VITEC): {
            "name": f"Kvarteret {n}",
            "price": n,
            "estate_status": chance.choice(STATUSES),
            "sensitive": n % 11 == 0,
        },
        ("project", PROPSTREET): {
            "name": f"Kontoret {n}",
            "classification": chance.choice(("draft", "active", "inactive")),
            "status": chance.choice(("open", "closed")),
        },
        ("prospect", VITEC): {"level": chance.choice(LEVELS), "buyer": n % 5 == 0},
        ("prospect", PROPSTREET): {"classification": chance.choice(CLASSES)},
        "link": {"job_title": f"Chef {n}"},
        "note": {"text": f"Ringde igen {n}"},
        "property": {"name": f"Huset {n}"},
    }
    mine = choices.get(category) or choices[category, vendor]
    return {field: mine[field] for field in chance.sample(sorted(mine), min(len(mine), chance.randint(1, 2)))}


def edited(annals: Annals, place: Place) -> Desk:
    """A person edits a record; the desk where it was."""
    vendor, category, record = place
    desk = annals.desk(vendor, category)
    desk.edit(record, **retouched(annals.chance, vendor, category))
    return desk


def polled(annals: Annals, place: Place) -> None:
    """An edit that a poll finds."""
    edited(annals, place)
    annals.observe(*place)


def flooded(annals: Annals, place: Place) -> None:
    """An edit that a poll finds among too many; now and then an operator lets them go."""
    vendor, category, record = place
    batch = batch_id(TENANT, str(annals.head // 300))
    annals.of_batch(held(batch, CHANGES, (vendor, category), 201, 200))
    edited(annals, place)
    payload = annals.desk(vendor, category).payload(record)
    annals.append([annals.as_read(*place[::2], payload, annals.head, "poll", category=category, batch=batch)])
    if annals.chance.random() < 0.5:
        annals.of_batch(BatchReleased(batch, "looked at", "kari"))


def notified(annals: Annals, place: Place) -> None:
    """An edit that a hint tells of; perhaps it has been read, perhaps the read overlapped another."""
    vendor, category, record = place
    early = annals.glance(vendor, record, category)
    edited(annals, place)
    if vendor == VITEC and category not in ("link", "property"):
        annals.hint(record, category)
    elif vendor == PROPSTREET and category != "note":
        annals.arrive(annals.webhook("updated", record, category, etag=None))
    if annals.chance.random() < 0.8:
        annals.observe(*place, via="fetch")
        if annals.chance.random() < 0.3:
            early.arrive(always=True)


def pushed(annals: Annals, place: Place) -> None:
    """An edit that a webhook carries whole."""
    edited(annals, place)
    vendor, category, record = place
    if vendor == PROPSTREET and category != "note":
        annals.arrive(annals.webhook("updated", record, category))


def quarrelled(annals: Annals, place: Place) -> None:
    """Both sides edit the same record before anybody looks."""
    entity = annals.entity_at(place)
    names = {"contact": "strategy", "company": "strategy", "project": "name"}
    if entity is None or entity.category not in names:
        return
    for vendor, side in entity.sides.items():
        if side.record in annals.desk(vendor, entity.category).rows:
            change: Fields = {names[entity.category]: f"{vendor} {annals.head}"}
            annals.desk(vendor, entity.category).edit(side.record, **change)
            annals.observe(vendor, entity.category, side.record)


def related(annals: Annals, place: Place) -> None:
    """Somebody becomes interested in an estate."""
    rows = annals.desk(VITEC, "project").rows
    people = [*annals.vitec.rows, *annals.desk(VITEC, "company").rows]
    record = relation_id(annals.chance.choice(sorted(rows)), annals.chance.choice(sorted(people)))
    annals.desk(VITEC, "prospect").add(record, level=annals.chance.choice(LEVELS))
    annals.observe(VITEC, "prospect", record)
    annals.look_at(annals.entity_of(VITEC, record, "prospect").id)


def removed(annals: Annals, place: Place) -> None:
    """One in three of these goes for good; the others are told to the inbox only."""
    vendor, category, record = place
    relation = category == "prospect" and vendor == VITEC
    if annals.chance.random() < (0.9 if relation else 0.3) and category != "project":
        annals.desk(vendor, category).remove(record)
        if vendor == PROPSTREET and category != "note":
            annals.observe(*place)
        else:
            annals.confirm_gone(vendor, record, category)
        return
    data = encode({"unreadable": "e30="})
    meta = encode(Reading(via="webhook", unreadable=True))
    mark = derived_id(TENANT, "inbox", str(annals.head))
    told = NewEvent(mark, inbox_stream(vendor), NOTIFIED, vendor, annals.now, data, mark, None, meta)
    annals.append([told])


def merged(annals: Annals, place: Place) -> None:
    """Vitec merges two persons; whatever joined the one is the other's from then on."""
    people = sorted(annals.vitec.rows)
    if len(people) < 8:
        return
    source, heir = annals.chance.sample(people, 2)
    annals.merge(source, heir)
    annals.fetch(VITEC)
    joined = [e.id for e in annals.fold.entities.by_id.values() if f":{source}" in _record(e)]
    for name in (annals.entity_of(VITEC, source).id, *joined, annals.entity_of(VITEC, heir).id):
        annals.look_at(name)


def _record(entity: Entity) -> str:
    return entity.sides[VITEC].record if VITEC in entity.sides else ""


def fetched(annals: Annals, place: Place) -> None:
    """All that must be read again is read again."""
    annals.fetch(place[0])


def released(annals: Annals, place: Place) -> None:
    """An operator sees to whoever is held: lets go, or wants to hear no more of it; and to what waits since the start."""
    if not any(row.kind == FIRST_SYNC for row in annals.fold.batches.values()):
        annals.let_go("contact")
    for entity in list(annals.fold.entities.by_id.values()):
        if entity.hold is not None:
            annals.heed((release_entity if annals.chance.random() < 0.7 else discard_entity)(entity, "kari"))


def seen_to(annals: Annals, place: Place) -> None:
    """An operator sees to one write that was refused, is held or waits."""
    rows = [row for row in annals.fold.commands.values() if row.state in ("held", "dead", "pending")]
    if rows:
        row = annals.chance.choice(rows)
        entity = annals.fold.entities.resolve(row.entity)
        word = annals.chance.choice((release_command, retry_command, discard_command))
        if entity is not None:
            annals.heed(word(entity, row, "kari"))
            annals.settle(entity.id)


def parted(annals: Annals, place: Place) -> None:
    """Now and then an operator parts two records, and now and then they belong together after all."""
    entity = annals.entity_at(place)
    if entity is None or annals.chance.random() < 0.6:
        return
    if linked(entity):
        annals.heed(unlink(entity, "by hand", "kari"))
        return
    rest = [e for e in annals.fold.entities.by_id.values() if e.category == entity.category]
    there = [e for e in rest if VITEC in e.sides], [e for e in rest if PROPSTREET in e.sides]
    if all(there):
        annals.heed(link(annals.chance.choice(there[0]), annals.chance.choice(there[1]), "kari"))


def led(annals: Annals, place: Place) -> None:
    """A lead comes in."""
    annals.take_in(annals.chance.choice(sorted(LEADS)))


def restored(annals: Annals, place: Place) -> None:
    """Now and then the log turns out to be an older one; soon all that needs it is read again, or nearly all."""
    if annals.chance.random() < 0.15:
        annals.rewind()
        for vendor in VENDORS:
            if annals.chance.random() < 0.8:
                annals.fetch(vendor)
        audited(annals)


def audited(annals: Annals) -> None:
    """An audit has compared everything."""
    result = ReconcileFinished(annals.now, 9, 2, {"drift": {"contact": 1}}, due=1)
    event_id = derived_id(TENANT, RECONCILED, str(annals.now))
    kind = type(result).__name__
    annals.append([NewEvent(event_id, RECONCILED, kind, "toveis", annals.now, encode(result), event_id)])


def answered(annals: Annals, place: Place) -> None:
    """What was written at one side is read at the other, so that they may agree."""
    if (entity := annals.entity_at(place)) is not None:
        for vendor, side in entity.sides.items():
            if side.record in annals.desk(vendor, entity.category).rows:
                annals.observe(vendor, entity.category, side.record, via="fetch")


CHANCES: Final[Sequence[Callable[[Annals, Place], None]]] = (
    *(polled, polled, polled, notified, notified, pushed, pushed, pushed, answered, answered),
    *(
        quarrelled,
        quarrelled,
        related,
        removed,
        parted,
        released,
        seen_to,
        merged,
        led,
        fetched,
        restored,
        flooded,
    ),
)


def annals(seed: int, length: int = 900) -> list[Event]:
    """A log of at least `length` events."""
    found = Annals(seed)
    found.move_in(30)
    while len(found.events) < length:
        found.happen()
    return found.events


def anew(event: Event) -> NewEvent:
    """The event as it asks to be appended."""
    return NewEvent(
        event_id=event.event_id,
        stream=event.stream,
        type=event.type,
        origin=event.origin,
        occurred_at=event.occurred_at,
        data=event.data.encode(),
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        meta=None if event.meta is None else event.meta.encode(),
    )
