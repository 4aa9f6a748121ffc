"""Who lives in the sandbox, and what they do there in a day. Data and a seeded generator; nothing here acts.

`script(seed)` gives the records that stand at both vendors before the day, and the day's steps in order: a story
that is the same for every seed, and small edits around it that are not. Everybody is invented: addresses end in
example.no, example.se or .example; the Swedish phones are reserved for fiction, the Norwegian ones are test numbers.

Fields have Toveis' common names. A `key` is the cast's own name of a person or a company: one that both vendors know
has one key, and two records of it in the population.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

Side = Literal["vitec", "propstreet"]
Category = Literal["contact", "company"]
Fields = Mapping[str, str | tuple[str, ...]]

CATEGORIES = {"Investor": "investor", "Kjøper": "buyer", "Säljare": "seller", "VIP": "vip"}
"""Vitec category to Propstreet tag, for persons; fields hold the tags."""

COMPANY_CATEGORIES = {"Investor": "investor", "VIP": "vip"}
"""The same for companies."""

BROKERS = ("Ingrid Solberg", "Lars Öberg", "Åsa Lindqvist")
"""Work in Vitec."""

INVESTORS_PEOPLE = ("Erik Ståhl", "Maja Nygård")
"""Work in Propstreet."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one vendor knows of somebody before the day."""

    side: Side
    category: Category
    key: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Step:
    """What one person does at one vendor. `fields` are those of a new record, or those that change."""

    actor: str
    side: Side
    action: Literal["create", "edit"]
    category: Category
    key: str
    fields: Fields
    note: str
    together_with_previous: bool = False
    """At the same moment as the step before, before either could be carried to the other side."""
    crossed: bool = False
    """The record was made at the other vendor: it is here once Toveis has brought it."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole day."""

    population: tuple[Record, ...]
    steps: tuple[Step, ...]


def script(seed: int, edits: int = 64) -> Script:
    """The day of a seed: the story's creates, and `edits` edits (never fewer than the story has)."""
    extras = Extras(random.Random(seed))
    spare = max(0, edits - sum(step.action == "edit" for step in STORY))
    return Script(POPULATION, tuple(_told(extras, spare)))


def _told(extras: "Extras", spare: int) -> Iterator[Step]:
    """The story, with the extras spread over the gaps where nothing happens at once."""
    gaps = [place for place, step in enumerate(STORY) if not step.together_with_previous]
    at = sorted(extras.chance.choices(gaps, k=spare))
    for place, step in enumerate(STORY):
        for _ in range(at.count(place)):
            yield extras.step()
        extras.see(step)
        yield step


# --- Before the day ---


def _person(key: str, side: Side, first: str, last: str, **fields: str | tuple[str, ...]) -> Record:
    return Record(side, "contact", key, {"first_name": first, "last_name": last, **fields})


def _company(key: str, side: Side, name: str, **fields: str | tuple[str, ...]) -> Record:
    return Record(side, "company", key, {"name": name, **fields})


POPULATION = (
    # One e-mail address, written in two ways: the phone is the same in two forms, the tags are missing on one side.
    _person("kari", "vitec", "Kari", "Nordmann", email="kari.nordmann@example.no", phone="+47 400 00 001", tags=("buyer",)),
    _person("kari", "propstreet", "Kari", "Nordmann", email="Kari.Nordmann@example.no", phone="+4740000001"),
    # One e-mail address; Propstreet knows no phone, Vitec no strategy.
    _person("anna", "vitec", "Anna", "Bergström", email="anna.bergstrom@example.se", phone="070-174 06 05"),
    _person("anna", "propstreet", "Anna", "Bergström", email="anna.bergstrom@example.se", strategy="Offices in Malmö"),
    # No address at Vitec, but the same name and mobile.
    _person("hakon", "vitec", "Håkon", "Ødegård", phone="0047 400 00 002", tags=("investor",)),
    _person("hakon", "propstreet", "Håkon", "Ødegård", email="hakon@example.no", phone="+4740000002"),
    # No address at Propstreet, but the same name and mobile.
    _person("gosta", "vitec", "Gösta", "Åkerlund", email="gosta.akerlund@example.se", phone="0701740606", tags=("seller",)),
    _person("gosta", "propstreet", "Gösta", "Åkerlund", phone="+46 70 174 06 06", tags=("seller",)),
    # Known to Vitec alone.
    _person("bjorn", "vitec", "Björn", "Ek", email="bjorn.ek@example.se", phone="070-174 06 07"),
    _person("linnea", "vitec", "Linnéa", "Sjögren", email="linnea.sjogren@example.se", tags=("buyer", "vip")),
    _person("soren", "vitec", "Søren", "Østby", email="soren.ostby@example.no", phone="+47 400 00 003"),
    _person("ida", "vitec", "Ida", "Hæreid", phone="+4740000004", tags=("buyer",)),
    _person("mats", "vitec", "Mats", "Ängström", email="mats@example.se", phone="+46701740608"),
    _person("par", "vitec", "Pär-Olof", "af Klintberg", email="par-olof@example.se", tags=("seller",)),
    _person("astrid", "vitec", "Astrid", "Bækkelund", email="astrid@example.no", strategy="Flats to let in Bergen"),
    _person("tor", "vitec", "Tor", "Aas", phone="0047 400 00 005"),
    # Known to Propstreet alone.
    _person("freja", "propstreet", "Freja", "Hallström", email="freja@example.se", tags=("investor",)),
    _person("wilhelm", "propstreet", "Wilhelm", "Löwe", email="wilhelm.lowe@example.se", phone="+46701740609"),
    _person("siv", "propstreet", "Siv", "Bråten", email="siv.braten@example.no", strategy="Logistics near Oslo"),
    _person("torbjorn", "propstreet", "Torbjørn", "Sæther", phone="+47 400 00 006", tags=("investor", "vip")),
    # One organisation number, with and without its dash.
    _company(
        "fjord", "vitec", "Fjord Eiendom AS",
        organisation_number="800 000 009", country="NO", website="www.fjord-eiendom.example", tags=("investor",),
    ),
    _company("fjord", "propstreet", "Fjord Eiendom AS", organisation_number="800000009", country="NO"),
    _company(
        "skog", "vitec", "Skog & Sjö Fastigheter AB",
        organisation_number="559999-9009", country="SE", website="skog-sjo.example",
    ),
    _company(
        "skog", "propstreet", "Skog & Sjö Fastigheter AB",
        organisation_number="5599999009", country="SE", website="https://www.skog-sjo.example/",
    ),
    # One domain; the number stands on one side only.
    _company("bryggen", "vitec", "Bryggen Utvikling AS", country="NO", website="bryggen.example", tags=("vip",)),
    _company(
        "bryggen", "propstreet", "Bryggen Utvikling AS",
        organisation_number="800000017", country="NO", website="https://bryggen.example", tags=("vip",),
    ),
    # Known to one side alone.
    _company("kvarn", "vitec", "Kvarnen i Växjö AB", organisation_number="559999-9017", country="SE"),
    _company("nord", "vitec", "Nordlys Næringsbygg AS", organisation_number="800000025", country="NO", tags=("investor",)),
    _company("malm", "vitec", "Malmö Hamnhus AB", organisation_number="5599999025", country="SE", website="hamnhus.example"),
    _company(
        "kapital", "propstreet", "Ålesund Kapital AS",
        organisation_number="800000033", country="NO", website="https://alesund-kapital.example", tags=("investor",),
    ),
)  # fmt: skip


# --- The day's story ---

INGRID, LARS, ASA = BROKERS
ERIK, MAJA = INVESTORS_PEOPLE

COMPANIES = frozenset(record.key for record in POPULATION if record.category == "company") | {"vik", "fabrik"}


def _step(action: Literal["create", "edit"], actor: str, key: str, note: str, fields: Fields) -> Step:
    category: Category = "company" if key in COMPANIES else "contact"
    return Step(actor, "vitec" if actor in BROKERS else "propstreet", action, category, key, fields, note)


def _new(actor: str, key: str, note: str, **fields: str | tuple[str, ...]) -> Step:
    return _step("create", actor, key, note, fields)


def _edit(actor: str, key: str, note: str, **fields: str | tuple[str, ...]) -> Step:
    return _step("edit", actor, key, note, fields)


def _together(first: Step, second: Step) -> tuple[Step, Step]:
    return first, replace(second, together_with_previous=True)


def _crossed(step: Step) -> Step:
    return replace(step, crossed=True)


STORY = (
    _edit(INGRID, "kari", "Kari Nordmann moves to a new mobile", phone="+47 400 00 010"),
    # Two fields of one person, one at each side, minutes apart: both hold.
    _edit(ERIK, "anna", "Anna Bergström looks in Lund too", strategy="Offices in Malmö and Lund, 20-80 MSEK"),
    _edit(LARS, "anna", "Anna Bergström has a new address", email="anna.berg@example.se"),
    _new(
        LARS, "nils", "Nils Gråberg comes to a viewing",
        first_name="Nils", last_name="Gråberg", email="nils.graberg@example.se", phone="070-174 06 10", tags=("buyer",),
    ),
    _new(
        MAJA, "hedda", "Hedda Lønn asks about an offer",
        first_name="Hedda", last_name="Lønn", email="hedda.lonn@example.no", phone="+47 400 00 011",
    ),
    _edit(MAJA, "hakon", "Håkon Ødegård calls from another mobile", phone="+47 400 00 012"),
    _edit(ASA, "gosta", "Gösta Åkerlund marries", last_name="Åkerlund Ryd"),
    _edit(MAJA, "gosta", "Gösta says what he keeps", strategy="Keeps rental houses in Växjö"),
    # One field at both sides at once: a conflict, with a winner and a loser on record.
    *_together(
        _edit(LARS, "kari", "Kari Nordmann gives Lars one address", email="kari@example.no"),
        _edit(ERIK, "kari", "and Erik another", email="kari.privat@example.no"),
    ),
    _new(
        ERIK, "vik", "Vik Logistikk signs up",
        name="Vik Logistikk AS", organisation_number="800000041", country="NO", website="https://vik-logistikk.example",
    ),
    _edit(ASA, "fjord", "Fjord Eiendom has a new site", website="www.fjord.example"),
    _edit(MAJA, "fjord", "Fjord Eiendom becomes a holding", name="Fjord Eiendom Holding AS"),
    # The field that Maja changed this morning, now at the other side: the later one holds.
    _edit(INGRID, "hakon", "Håkon Ødegård changes his mobile again", phone="0047 400 00 013"),
    _new(
        ASA, "fabrik", "Fabriken i Nacka wants an appraisal",
        name="Fabriken i Nacka AB", organisation_number="559999-9033", country="SE", website="fabriken-nacka.example",
    ),
    # Two labels at once, one at each side: sets merge, both hold.
    *_together(
        _edit(LARS, "hakon", "Håkon Ødegård becomes a VIP", tags=("investor", "vip")),
        _edit(MAJA, "hakon", "and is buying", tags=("buyer", "investor")),
    ),
    _new(
        INGRID, "olga", "Olga Bjørnstad is selling",
        first_name="Olga", last_name="Bjørnstad", email="olga@example.no", tags=("seller",),
    ),
    _edit(ERIK, "skog", "Skog & Sjö shortens its name", name="Skog & Sjö AB"),
    _new(
        ERIK, "elin", "Elin Västerås-Lindh joins",
        first_name="Elin", last_name="Västerås-Lindh", email="elin@example.se", strategy="Hotels, 100-300 MSEK",
    ),
    _edit(LARS, "bjorn", "Björn Ek changes employer", email="bjorn@nytt.example.se"),
    _edit(INGRID, "soren", "Søren Østby borrows a mobile", phone="+47 400 00 014"),
    # Different fields at once: no conflict.
    *_together(
        _edit(ASA, "anna", "Anna Bergström gets a new mobile", phone="0701740611"),
        _edit(ERIK, "anna", "and becomes an investor", tags=("investor",)),
    ),
    _edit(MAJA, "freja", "Freja Hallström marries", last_name="Hallström Lind"),
    _new(
        ASA, "ylva", "Ylva Kjær leaves her number",
        first_name="Ylva", last_name="Kjær", phone="+46 70 174 06 12", tags=("buyer",),
    ),
    # What came from the other side can be edited here too.
    _crossed(_edit(MAJA, "nils", "Nils Gråberg says what he wants", strategy="Two rooms near Lund, 3-4 MSEK")),
    _crossed(_edit(INGRID, "hedda", "Hedda Lønn changes her mobile", phone="+47 400 00 016")),
    _edit(LARS, "linnea", "Linnéa Sjögren is no longer a VIP", tags=("buyer",)),
    _edit(ASA, "bryggen", "Bryggen moves its site", website="https://bryggen-utvikling.example"),
    _edit(MAJA, "bryggen", "Bryggen starts to invest", tags=("investor", "vip")),
    _new(
        MAJA, "sverre", "Sverre Grønn calls",
        first_name="Sverre", last_name="Grønn", phone="+47 400 00 017", tags=("investor",),
    ),
    _edit(INGRID, "ida", "Ida Hæreid leaves an address", email="ida.haereid@example.no"),
    # Erik's name of this morning, corrected at the other side.
    _edit(ASA, "skog", "Skog & Sjö corrects its name", name="Skog och Sjö Fastigheter AB"),
    _edit(ERIK, "wilhelm", "Wilhelm Löwe moves to a new mobile", phone="+46 70 174 06 13"),
    _edit(MAJA, "siv", "Siv Bråten looks further", strategy="Logistics near Oslo and Gardermoen, 50-200 MNOK"),
    _edit(INGRID, "soren", "Søren Østby has his own mobile back", phone="+47 400 00 003"),
    _edit(INGRID, "nord", "Nordlys moves its seat", country="SE"),
    _edit(LARS, "kvarn", "Kvarnen gets a site", website="kvarnen-vaxjo.example"),
    _edit(ERIK, "kapital", "Ålesund Kapital becomes a VIP", tags=("investor", "vip")),
    _edit(MAJA, "kari", "Kari Nordmann changes her mobile once more", phone="+4740000015"),
    _edit(INGRID, "hakon", "Håkon Ødegård takes his full name", email="hakon.odegard@example.no"),
    *_together(
        _edit(LARS, "skog", "Skog & Sjö gives Lars its new site", website="skog.example"),
        _edit(ERIK, "skog", "and Erik another", website="https://sjo.example"),
    ),
    _crossed(_edit(ERIK, "mats", "Mats Ängström says what he wants", strategy="Shops in Umeå, 10-40 MSEK")),
    _edit(ASA, "gosta", "Gösta has a new mobile", phone="070-174 06 14"),
)  # fmt: skip


# --- The edits around it ---

SURNAMES = (
    "Ahlgren",
    "Dæhlie",
    "Ekström",
    "Førde",
    "Höglund",
    "Kjølstad",
    "Malmberg",
    "Næss",
    "Strömqvist",
    "Våge",
)
TRADES = ("Drift", "Invest", "Bygg", "Gruppen", "Partner", "Förvaltning", "Norden", "Øst")
GOODS = ("Offices", "Shops", "Warehouses", "Hotels", "Care homes", "Flats to let")
CITIES = ("Göteborg", "Tromsø", "Örebro", "Bodø", "Luleå", "Sandefjord", "Skövde", "Førde")

FREQUENT = {
    "contact": ("phone", "phone", "phone", "email", "email", "strategy", "strategy", "tags", "last_name"),
    "company": ("website", "website", "name", "tags"),
}

TAGGED = frozenset(step.key for step in STORY if step.action == "edit" and "tags" in step.fields)
"""Those whose tags the story changes, partly at both sides."""

PHONES = tuple(
    form.format(number)
    for number in range(40, 100)
    for form in (
        ("070-174 06 {:02}", "+46 70 174 06 {:02}")[number % 2],
        ("+47 400 00 0{:02}", "0047 400 00 0{:02}")[number % 2],
    )
)
"""National and international forms; the story uses the numbers below 40."""

Idea = tuple[str | tuple[str, ...], str]
"""A field's next value, and the end of the sentence that tells of it."""


class Extras:
    """Small edits, each to a value that nobody in the cast had before, at a side where the record was made.

    Tags are the exception: they come and go, at one side only, for those whose tags the story leaves alone.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._homes: list[tuple[str, Side, Category]] = []
        self._known: dict[str, dict[str, str | tuple[str, ...]]] = {}
        self._used: set[object] = {value for step in STORY for value in step.fields.values()}
        self._count = 0
        self._phones = list(PHONES)
        chance.shuffle(self._phones)
        for record in POPULATION:
            self._add(record.key, record.side, record.category, record.fields)

    def see(self, step: Step) -> None:
        """The story went on by a step."""
        if step.action == "create":
            self._add(step.key, step.side, step.category, step.fields)
        self._known[step.key].update(step.fields)

    def step(self) -> Step:
        """One more edit."""
        while True:
            key, side, category = self.chance.choice(self._homes)
            field = self.chance.choice(FREQUENT[category])
            if idea := self._idea(key, side, category, field):
                break
        value, sentence = idea
        note = f"{self._name(key)} {sentence}"
        self._known[key][field] = value
        self._used.add(value)
        actor = self.chance.choice(BROKERS if side == "vitec" else INVESTORS_PEOPLE)
        return _edit(actor, key, note, **{field: value})

    def _add(self, key: str, side: Side, category: Category, fields: Fields) -> None:
        self._homes.append((key, side, category))
        # Of two records the first one speaks: it stands at Vitec, where the tags of a pair are complete.
        self._known[key] = {**fields, **self._known.get(key, {})}
        self._used.update(fields.values())

    def _name(self, key: str) -> str:
        known = self._known[key]
        return str(known.get("name") or f"{known['first_name']} {known['last_name']}")

    def _idea(self, key: str, side: Side, category: Category, field: str) -> Idea | None:
        """What could happen to a field; None when this one has nothing left."""
        match field:
            case "phone" if self._phones:
                return self._phones.pop(), "gets a new mobile"
            case "email":
                country = self.chance.choice(("no", "se"))
                return f"{key}{self._next()}@example.{country}", "gets a new address"
            case "strategy":
                return self._strategy(), "looks for something else"
            case "last_name":
                return self._unused((name, "changes name") for name in SURNAMES)
            case "name":
                first, *_, form = self._name(key).split()
                return self._unused((f"{first} {trade} {form}", "changes its name") for trade in TRADES)
            case "website":
                return f"https://www.{key}{self._next()}.example", "moves its site"
            case "tags" if key not in TAGGED and side == self._first_side(key):
                return self._toggled(key, category)
            case _:
                return None

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _unused(self, ideas: Iterable[Idea]) -> Idea | None:
        left = [idea for idea in ideas if idea[0] not in self._used]
        return self.chance.choice(left) if left else None

    def _strategy(self) -> str:
        low = self.chance.randint(1, 90)
        money = f"{low}-{low + self._next()} {self.chance.choice(('MNOK', 'MSEK'))}"
        return f"{self.chance.choice(GOODS)} in {self.chance.choice(CITIES)}, {money}"

    def _first_side(self, key: str) -> Side:
        return next(side for known, side, _ in self._homes if known == key)

    def _toggled(self, key: str, category: Category) -> Idea:
        """One tag more or less; somebody who has a single one keeps it."""
        tags = {"contact": CATEGORIES, "company": COMPANY_CATEGORIES}[category].values()
        present = set(self._known[key].get("tags", ()))
        tag = self.chance.choice(sorted(set(tags) - present if len(present) < 2 else tags))
        return tuple(sorted(present ^ {tag})), f"is {'no longer ' if tag in present else ''}marked as {tag}"
