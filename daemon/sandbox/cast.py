"""Who lives in the sandbox, and what they do there in a day. Data and a seeded generator; nothing here acts.

`script(seed)` gives the records that stand at both vendors before the day, and the day's steps in order: stories
that are the same for every seed, and small edits around them that are not. Everybody is invented: addresses end in
example.no, example.se or .example; the Swedish phones are reserved for fiction, the Norwegian ones are test numbers.

A person or a company that both vendors know has one key, and two records of it in the population.
"""

import random
from collections.abc import Iterator

from daemon.sandbox import forms, market
from daemon.sandbox.extras import Extras
from daemon.sandbox.steps import (
    BROKERS,
    INVESTORS_PEOPLE,
    Action,
    Category,
    Fields,
    Record,
    Script,
    Side,
    Step,
    crossed,
    side_of,
    together,
    woven,
)

EDITS = 85
"""How many edits a day has, besides what is new in it."""


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


def _step(action: Action, actor: str, key: str, note: str, fields: Fields) -> Step:
    category: Category = "company" if key in COMPANIES else "contact"
    return Step(actor, side_of(actor), action, category, key, fields, note)


def _new(actor: str, key: str, note: str, **fields: str | tuple[str, ...]) -> Step:
    return _step("create", actor, key, note, fields)


def _edit(actor: str, key: str, note: str, **fields: str | tuple[str, ...]) -> Step:
    return _step("edit", actor, key, note, fields)


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
    *together(
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
    *together(
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
    *together(
        _edit(ASA, "anna", "Anna Bergström gets a new mobile", phone="0701740611"),
        _edit(ERIK, "anna", "and becomes an investor", tags=("investor",)),
    ),
    _edit(MAJA, "freja", "Freja Hallström marries", last_name="Hallström Lind"),
    _new(
        ASA, "ylva", "Ylva Kjær leaves her number",
        first_name="Ylva", last_name="Kjær", phone="+46 70 174 06 12", tags=("buyer",),
    ),
    # What came from the other side can be edited here too.
    crossed(_edit(MAJA, "nils", "Nils Gråberg says what he wants", strategy="Two rooms near Lund, 3-4 MSEK")),
    crossed(_edit(INGRID, "hedda", "Hedda Lønn changes her mobile", phone="+47 400 00 016")),
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
    *together(
        _edit(LARS, "skog", "Skog & Sjö gives Lars its new site", website="skog.example"),
        _edit(ERIK, "skog", "and Erik another", website="https://sjo.example"),
    ),
    crossed(_edit(ERIK, "mats", "Mats Ängström says what he wants", strategy="Shops in Umeå, 10-40 MSEK")),
    _edit(ASA, "gosta", "Gösta has a new mobile", phone="070-174 06 14"),
)  # fmt: skip


# --- The day ---


def script(seed: int, edits: int = EDITS) -> Script:
    """The day of a seed: the stories, and `edits` edits (never fewer than the stories have)."""
    return Script((*POPULATION, *market.POPULATION), tuple(_told(random.Random(seed), edits)))


def _told(chance: random.Random, edits: int) -> Iterator[Step]:
    """All stories, with the extras spread over the gaps where nothing happens at once."""
    told = tuple(woven(STORY, market.STORY, forms.STORY))
    extras = Extras(chance, POPULATION, told, still=market.STILL)
    gaps = [place for place, step in enumerate(told) if not step.together_with_previous]
    at = sorted(chance.choices(gaps, k=max(0, edits - sum(step.action == "edit" for step in told))))
    for place, step in enumerate(told):
        for _ in range(at.count(place)):
            yield extras.step()
        extras.see(step)
        yield step
