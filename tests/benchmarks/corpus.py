"""Invented people and companies as both vendors write them, and whole logs about them.

A record is known by a number; a `revision` moves one mapped field, so that a log of revisions tells of edits.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from daemon.domain.events import (
    NOTIFIED,
    OBSERVED,
    SCHEMA_VERSION,
    CommandAttempted,
    CommandIssued,
    CommandSucceeded,
    Decision,
    FieldsAgreed,
    Half,
    Reading,
    RecordsLinked,
    Want,
    encode,
)
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC, entity_id, entity_stream, record_stream
from daemon.mappings.lens import Options

TENANT: Final = "oslo"
START: Final = datetime(2025, 1, 1, tzinfo=UTC)
SWEDEN: Final = ZoneInfo("Europe/Stockholm")
FIRST_NAMES: Final = (
    "Anna",
    "Björn",
    "Cecilia",
    "Dag",
    "Elin",
    "Frøydis",
    "Göran",
    "Håkon",
    "Ingrid",
    "Jørgen",
)
LAST_NAMES: Final = ("Berg", "Ek", "Lindqvist", "Nygård", "Solberg", "Ståhl", "Sæther", "Ødegård", "Åkerlund")
TAGS: Final = ("investor", "buyer", "seller", "vip")
OPTIONS: Final = Options(
    note="strategy",
    categories={f"KAT{tag.upper()}": tag for tag in TAGS},
    company_categories={f"KAT{tag.upper()}": tag for tag in TAGS},
)
FIELDS: Final = {
    "contact": ("first_name", "last_name", "email", "phone", "tags", "strategy"),
    "company": ("name", "organisation_number", "country", "website", "tags", "strategy"),
}


def category_of(number: int) -> str:
    """Every tenth is a company."""
    return "company" if number % 10 == 9 else "contact"


def vitec_id(number: int) -> str:
    """Vitec's id of a record."""
    return f"ADR{number:013d}"


def propstreet_id(number: int) -> str:
    """Propstreet's id of a record."""
    return str(100_000 + number)


def etag(number: int, revision: int, seen: int) -> str:
    """Propstreet's mark of one state of a record."""
    return f'W/"{number:06d}{revision:04d}{seen:06d}"'


def moved_field(number: int, revision: int) -> str:
    """The field in which a revision differs from the one before it: each fourth is a new number or address."""
    if revision % 4:
        return "strategy"
    return "phone" if category_of(number) == "contact" else "website"


def value(number: int, revision: int, field: str) -> Value:
    """A field as both vendors mean it; phones in E.164. Norway gives no subscriber a number that begins with 1."""
    texts: dict[str, Value] = {
        "first_name": FIRST_NAMES[number % len(FIRST_NAMES)],
        "last_name": LAST_NAMES[number % len(LAST_NAMES)],
        "email": f"person.{number}@example.no",
        "phone": f"+47{10_000_000 + (number * 401 + revision // 4) % 10_000_000}",
        "name": f"{LAST_NAMES[number % len(LAST_NAMES)]} Eiendom {number} AS",
        "organisation_number": f"8{number:08d}",
        "country": "NO",
        "website": f"https://www.company-{number}.example/{revision // 4}",
        "tags": (TAGS[number % len(TAGS)],),
        "strategy": f"Offices and logistics in Malmö and Göteborg, {10 + revision - revision // 4} MNOK or more.",
    }
    return texts[field]


def propstreet_record(number: int, revision: int, seen: int, at: datetime) -> dict[str, Any]:
    """A contact or a company as Propstreet reads it (models Contact and Company); `seen` moves the etag alone."""
    time = f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"
    category = category_of(number)
    path = "contacts" if category == "contact" else "companies"
    frame: dict[str, Any] = {
        "id": propstreet_id(number),
        "uri": f"https://app.propstreet.com/network/{path}/{propstreet_id(number)}",
        "externalRefs": [{"namespace": "vitec-next", "id": vitec_id(number)}],
    }
    body = {field: value(number, revision, field) for field in FIELDS[category]}
    if category == "contact":
        frame |= {
            "firstName": body["first_name"],
            "lastName": body["last_name"],
            "email": body["email"],
            "phone": body["phone"],
            "linkedInUrl": None,
            "emails": [{"address": body["email"], "type": None, "isPrimary": True}],
            "phones": [{"number": body["phone"], "type": None, "isPrimary": True}],
            "primaryLanguage": None,
            "primaryCompanyId": None,
            "companies": [],
        }
    else:
        number_of = {"namespace": "organization-number", "id": body["organisation_number"]}
        frame |= {
            "externalRefs": [*frame["externalRefs"], number_of],
            "name": body["name"],
            "countryCode": body["country"],
            "domain": f"company-{number}.example",
            "homepageUrl": body["website"],
            "contacts": [],
            "linkedInUrl": None,
        }
    return frame | {
        "tags": body["tags"],
        "strategy": body["strategy"],
        "profilePictureUrl": None,
        "createdUtc": "2024-05-06T07:08:09.1234560Z",
        "updatedUtc": time,
        "deletedUtc": None,
        "etag": etag(number, revision, seen),
        "changeType": "update",
        "changeOrigin": "ui",
    }


def propstreet_webhook(number: int, revision: int, seen: int, at: datetime) -> bytes:
    """A delivery that carries the record whole."""
    record = propstreet_record(number, revision, seen, at)
    return encode(
        {"type": f"{category_of(number)}.updated", "timestamp": record["updatedUtc"], "data": record}
    )


def vitec_record(number: int, revision: int, at: datetime) -> dict[str, Any]:
    """A person or a company as Vitec's typed read has it (pages CRM contact Person and Company)."""
    category = category_of(number)
    body = {field: value(number, revision, field) for field in FIELDS[category]}
    frame: dict[str, Any] = {"id": vitec_id(number), "customerId": "M11385"}
    if category == "contact":
        phone = str(body["phone"])
        frame |= {
            "type": "Person",
            "firstName": body["first_name"],
            "lastName": body["last_name"],
            "socialSecurityNumber": None,
            "isForeignSocialSecurityNumber": False,
            "dateOfBirth": None,
            "telephone": {
                "home": None,
                "work": None,
                "cell": f"{phone[:3]} {phone[3:6]} {phone[6:]}",
                "other": None,
            },
            "leadScore": None,
            "wantsToBeMatched": "NotAsked",
            "matchingChangedAt": None,
            "isDeceased": False,
            "isCompanyPerson": False,
            "gdprApprovalDate": None,
            "email": {"emailAddress": body["email"], "emailAddress2": None},
        }
    else:
        frame |= {
            "type": "Company",
            "name": body["name"],
            "corporateNumber": body["organisation_number"],
            "isForeignCorporateNumber": False,
            "homePage": body["website"],
            "telephone": {"switch": None, "other": None},
            "leadScore": None,
            "email": {"emailAddress": f"post@company-{number}.example", "emailAddress2": None},
        }
    tag = TAGS[number % len(TAGS)]
    return frame | {
        "agentId": "ANV0000000001",
        "address": {
            "streetAddress": f"Storgata {number % 90 + 1}",
            "zipCode": "0155",
            "city": "Oslo",
            "countryCode": "NO",
            "wgs84Coordinate": None,
        },
        "advertisingEnabled": True,
        "note": body["strategy"],
        "categories": [{"id": f"KAT{tag.upper()}", "name": tag.title(), "readOnly": False}],
        "createdAt": "2024-05-06T09:08:09.12",
        "changedAt": f"{at.astimezone(SWEDEN):%Y-%m-%dT%H:%M:%S.%f}"[:-3],
    }


Row = tuple[Any, ...]
"""One row of the table of events, the columns in their order."""


class Log:
    """A log that grows: both vendors know every record, both are linked and agreed, and then people edit.

    `rows` are those that nobody took yet, so that a long log need not be in memory as a whole.
    """

    def __init__(self, tenant: str = TENANT) -> None:
        self.tenant = tenant
        self.position = 0
        self.rows: list[Row] = []
        self._versions: Counter[str] = Counter()
        self.commands = itertools.count(1)

    @property
    def now(self) -> datetime:
        """One event a second."""
        return START + timedelta(seconds=self.position)

    def add(self, stream: str, kind: str, origin: str, data: object, reading: Reading | None = None) -> int:
        """Append one event; its position."""
        self._versions[stream] += 1
        now = self.now
        self.position = position = self.position + 1
        mark = UUID(int=position)
        text = data if isinstance(data, bytes) else encode(data)
        meta = None if reading is None else encode(reading).decode()
        version = self._versions[stream]
        place = (self.tenant, position, mark, stream, version, kind, SCHEMA_VERSION, origin)
        self.rows.append((*place, now, now, None, mark, text.decode(), meta))
        return position

    def take(self) -> list[Row]:
        """The rows since the last call."""
        taken, self.rows = self.rows, []
        return taken

    def decide(self, stream: str, decision: Decision) -> int:
        """Append one of our own events."""
        return self.add(stream, type(decision).__name__, "toveis", decision)


class Pair:
    """One entity of a log: a record at either vendor, and how far its edits have come."""

    def __init__(self, log: Log, number: int) -> None:
        self.log = log
        self.number = number
        self.category = category_of(number)
        self.revision = 0
        self.entity = entity_id(log.tenant, self.category, VITEC, vitec_id(number))
        self.stream = entity_stream(self.category, self.entity)
        self.ids = {VITEC: vitec_id(number), PROPSTREET: propstreet_id(number)}
        self.streams = {vendor: record_stream(self.category, vendor, key) for vendor, key in self.ids.items()}
        self.kind = "Person" if self.category == "contact" else "Company"
        self.held: dict[tuple[str, str], int] = {}
        self._seen = 0

    def read(self, vendor: str, via: str, command: str | None = None) -> int:
        """A read of the record as it is now."""
        kind = self.kind if vendor == VITEC else None
        reading = Reading(via=via, started=self.log.position, command=command, kind=kind)
        self._seen += 1
        record = (
            vitec_record(self.number, self.revision, self.log.now)
            if vendor == VITEC
            else propstreet_record(self.number, self.revision, self._seen, self.log.now)
        )
        return self.log.add(self.streams[vendor], OBSERVED, vendor, record, reading)

    def pushed(self) -> int:
        """Propstreet's webhook, with the record whole."""
        self._seen += 1
        body = propstreet_webhook(self.number, self.revision, self._seen, self.log.now)
        reading = Reading(via="webhook", event=f"{self.category}.updated", inside="data")
        return self.log.add(self.streams[PROPSTREET], OBSERVED, PROPSTREET, body, reading)

    def notified(self) -> int:
        """Vitec's notification, which only names the record."""
        body = {
            "customerId": "M11385",
            "type": "Contact",
            "subtype": self.kind,
            "id": self.ids[VITEC],
            "event": "Update",
        }
        reading = Reading(via="webhook", event="Update", kind=self.kind)
        return self.log.add(self.streams[VITEC], NOTIFIED, VITEC, body, reading)

    def first_seen(self, vendor: str) -> None:
        """The first poll."""
        position = self.read(vendor, "poll")
        self.held |= {(vendor, field): position for field in FIELDS[self.category]}

    def link(self) -> None:
        """Both records are one entity, by Propstreet's reference."""
        ids = self.ids
        self.log.decide(self.stream, RecordsLinked(self.entity, ids[VITEC], ids[PROPSTREET], "reference"))

    def agree(self) -> None:
        """Both sides mean the same in every field."""
        fields = {
            field: (self._half(VITEC, field), self._half(PROPSTREET, field))
            for field in FIELDS[self.category]
        }
        self.log.decide(self.stream, FieldsAgreed(self.entity, fields))

    def _half(self, vendor: str, field: str) -> Half:
        return Half(value(self.number, self.revision, field), self.held[vendor, field])

    def edited_at_vitec(self) -> None:
        """Notification, fetch, our write to Propstreet, and its echo."""
        self.revision += 1
        self.notified()
        self._carry(VITEC, self.read(VITEC, "fetch"), PROPSTREET)
        self.pushed()

    def edited_at_propstreet(self) -> None:
        """Webhook, our write to Vitec, its echo, and the fetch that the echo asks for."""
        self.revision += 1
        self._carry(PROPSTREET, self.pushed(), VITEC)
        self.notified()
        self.read(VITEC, "fetch")

    def _carry(self, source: str, position: int, target: str) -> None:
        """One command from issue to success."""
        log, field, command = (
            self.log,
            moved_field(self.number, self.revision),
            f"command-{next(self.log.commands)}",
        )
        wanted = value(self.number, self.revision, field)
        before = value(self.number, self.revision - 1, field)
        want = Want(wanted, source, wanted, position, log.now, before, self.held[target, field])
        mark = etag(self.number, self.revision - 1, self._seen) if target == PROPSTREET else None
        issued = CommandIssued(
            command, self.entity, self.category, target, self.ids[target], {field: want}, mark
        )
        log.decide(self.stream, issued)
        log.decide(self.stream, CommandAttempted(command, 1, mark))
        self.held[source, field] = position
        self.held[target, field] = self.read(target, "readback", command)
        log.decide(self.stream, CommandSucceeded(command, self.ids[target], (), 12.5))


def log_of(events: int, entities: int, seed: int = 0) -> Iterator[Row]:
    """The rows of a log of about so many events: everybody is found and linked, then edited here and there.

    Of ten things that happen, six are reads in which nothing mapped has changed, two are edits at Vitec, two at Propstreet.
    """
    log, chance = Log(), random.Random(seed)
    pairs = [Pair(log, number) for number in range(entities)]
    for vendor in (VITEC, PROPSTREET):
        for pair in pairs:
            pair.first_seen(vendor)
            yield from log.take()
    for pair in pairs:
        pair.link()
        pair.agree()
        yield from log.take()
    while log.position < events:
        _happen(chance.choice(pairs), chance.randrange(10))
        yield from log.take()


def _happen(pair: Pair, what: int) -> None:
    match what:
        case 0 | 1:
            pair.edited_at_vitec()
        case 2 | 3:
            pair.edited_at_propstreet()
        case 4 | 5 | 6:
            pair.read(VITEC, "poll")
        case _:
            pair.read(PROPSTREET, "poll")


async def fill(dsn: str, events: int, entities: int) -> int:
    """Write such a log into an empty, migrated database as it is made; how many events it became."""
    conn = await asyncpg.connect(dsn)
    try:
        done = await conn.copy_records_to_table(
            "events", schema_name="toveis", records=log_of(events, entities), columns=COLUMNS
        )
        await conn.execute("ANALYZE toveis.events")
    finally:
        await conn.close()
    return int(done.rpartition(" ")[2])


COLUMNS: Final = (
    *("tenant", "position", "event_id", "stream", "version", "type", "schema_version", "origin"),
    *("occurred_at", "recorded_at", "causation_id", "correlation_id", "data", "meta"),
)
"""The columns of a `Row`."""
