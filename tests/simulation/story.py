"""A story from a seed, and smaller ones from a story. What it is made of stands in `steps`, what may happen in `scenes`.

Everything random comes from the seed. Worlds are small and people crowd: they edit one field of one record at both
vendors within moments, go back to what was there, type what is on its way, and all that while something breaks.
"""

import random
from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import structs

from tests.simulation.scenes import LEVELS, Scenes
from tests.simulation.steps import (
    AUTUMN,
    FAULTS,
    START,
    AnyStep,
    BackupRestored,
    Being,
    ClockJump,
    ConnectionLost,
    Crash,
    DatabaseAway,
    Deliveries,
    Faults,
    GoLive,
    Knobs,
    Lead,
    OperatorRestores,
    Pause,
    Story,
    ThirdParty,
    TokenExpired,
    Vendor,
    WebhookOff,
    read,
    said,
    words,
    written,
)

__all__ = ["THEMES", "Story", "read", "said", "shrunk", "tell", "words", "written"]

THEMES: Final[dict[str, dict[str, int]]] = {
    "contacts": {"edits": 20, "tags": 3, "create": 1},
    "races": {"edits": 8, "crowd": 12, "tags": 3},
    "links": {"create": 4, "twins": 4, "edits": 8, "tags": 2},
    "companies": {"company": 14, "edits": 3, "tags": 2, "create": 1},
    "prospects": {"levels": 14, "estates": 4, "edits": 3},
    "leads": {"leads": 5, "notes": 5, "edits": 5, "levels": 2},
    "removals": {"removal": 4, "merge": 3, "edits": 9, "levels": 3, "tags": 2},
    "crashes": {"edits": 12, "crowd": 5, "create": 2, "tags": 2, "levels": 2},
}
"""What a story is about: the kinds of scenes with their weights."""

CALLS_FAIL: Final = (
    *("500", "503", "429", "timeout_before", "timeout_after", "drop_before", "drop_after", "broken_json"),
    *("refused", "lost", "crawling"),
)
"""How a call fails: as the twins' own faults have it, or on its way."""

WITH_ESTATES: Final = frozenset(("prospects", "leads", "removals", "crashes"))
HOWS: Final[tuple[Literal["disabled", "removed", "fewer"], ...]] = ("disabled", "removed", "fewer")
QUIET: Final = 0.25
"""The share of stories in which nothing breaks."""


def tell(seed: int, theme: str | None = None) -> Story:
    """The story of a seed; with `theme` about that."""
    chance = random.Random(seed)
    theme = theme or chance.choice(list(THEMES))
    quiet = chance.random() < QUIET
    knobs = _knobs(chance, theme)
    if random.Random(f"forms of {seed}").random() < 0.2:
        knobs.vitec["forms"] = "own"
    limits = random.Random(f"limits of {seed}").choices((None, (20, 600, 10_800), (4, 90, 3600)), (6, 2, 2))[
        0
    ]
    crew = random.Random(f"daemons of {seed}")
    knobs = structs.replace(knobs, limits=limits, daemons=2 if crew.random() < 0.2 else 1)
    population = tuple(_population(chance, theme))
    scenes = Scenes(chance, population, knobs)
    steps = list(_people(chance, scenes, theme, knobs))
    last = max(step.at for step in steps)
    if not quiet:
        steps += _faults(chance, theme, last)
    if chance.random() < 0.15:
        steps.append(OperatorRestores(at=round(last + chance.uniform(30, 90), 3)))
    if knobs.mode == "observe":
        steps.append(GoLive(at=round(chance.uniform(0.3, 1.1) * last, 3)))
    if not quiet and chance.random() < 0.2:
        steps += (structs.replace(step, at=round(last + 10 + step.at, 3)) for step in scenes.late())
    if not quiet and random.Random(f"what {seed} forgets").random() < 0.05:
        last = max(step.at for step in steps)
        steps += (structs.replace(step, at=round(last + 10 + step.at, 3)) for step in scenes.forgotten())
    if random.Random(f"namesakes of {seed}").random() < 0.05:
        last = max(step.at for step in steps)
        steps += (structs.replace(step, at=round(last + 10 + step.at, 3)) for step in scenes.namesakes())
    if not quiet and random.Random(f"retractions of {seed}").random() < 0.05:
        last = max(step.at for step in steps)
        steps += (structs.replace(step, at=round(last + 10 + step.at, 3)) for step in scenes.retracted())
    off = random.Random(f"webhooks of {seed}")
    if not quiet and off.random() < 0.15:
        last = max(step.at for step in steps)
        steps.append(WebhookOff(off.choice(HOWS), at=round(off.uniform(0, last), 3)))
    if knobs.daemons > 1 and not quiet:
        steps += _handovers(crew, max(step.at for step in steps))
    return Story(seed, knobs, population, tuple(sorted(steps, key=lambda step: step.at)))


def _people(chance: random.Random, scenes: Scenes, theme: str, knobs: Knobs) -> Iterator[AnyStep]:
    """5 to 40 steps of people's, in scenes that follow each other after some thought."""
    wanted, told, at = chance.randint(5, 40), 0, chance.choice((0.2, 2.0, 30.0))
    kinds, weights = zip(*THEMES[theme].items(), strict=True)
    while told < wanted and at < 1200:
        for step in scenes.scene(chance.choices(kinds, weights)[0]):
            yield structs.replace(step, at=round(at + step.at, 3))
            told += 1
        at += chance.expovariate(1 / knobs.think)


# --- the world before it


def _knobs(chance: random.Random, theme: str) -> Knobs:
    vitec, propstreet, sync = _switches(chance, theme)
    ahead = [round(chance.uniform(-600, 600), 1) if chance.random() < 0.2 else 0.0 for _ in range(2)]
    return Knobs(
        theme=theme,
        start=AUTUMN if chance.random() < 0.12 else START,
        vitec=vitec,
        propstreet=propstreet,
        sync=sync,
        vitec_skew=ahead[0],
        propstreet_skew=ahead[1],
        latency=chance.choice(((0.005, 0.05), (0.005, 0.05), (0.02, 0.2), (0.05, 0.5))),
        poll=chance.choice((5.0, 20.0, 60.0)),
        think=chance.choice((2.0, 8.0, 30.0)),
        mode="observe" if chance.random() < 0.04 else "live",
        webhooks=chance.random() > 0.1,
    )


_VITEC: Final[dict[str, tuple[Any, ...]]] = {
    "vs1": ("old",),
    "vs2": ("query", "body"),
    "vs5": ("none", "twice"),
    "vs11": ("replace",),
    "vs14": ("404", "400"),
    "vs15": ("interested",),
    "vs19": ("left_out",),
    "vs21": ("204", "null"),
    "vs23": ("offset",),
    "vs37": (True,),
    "vs39": ("SE",),
}
_PROPSTREET: Final[dict[str, tuple[Any, ...]]] = {
    "ps2": ("thin",),
    "ps3": (409,),
    "ps6": ("top", "deleted"),
    "ps10": ("string",),
    "ps11": (False,),
    "ps18": (False,),
    "ps19": ("merge",),
    "ps20": ("upsert",),
    "ps25": ("hidden",),
    "ps29": (3, 0),
    "deleted_read": ("record",),
}


def _switches(chance: random.Random, theme: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Some switches of the twins turned, and some settings of the sync."""

    def turned(table: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
        names = [name for name in table if chance.random() < 0.06]
        return {name: chance.choice(table[name]) for name in names}

    sync: dict[str, Any] = {}
    if chance.random() < 0.15:
        field = chance.choice(("contact.email", "contact.phone", "contact.last_name", "company.name"))
        sync["authority"] = {field: chance.choice(("vitec", "propstreet"))}
    if chance.random() < 0.08:
        sync["contacts"] = chance.choice(("to_propstreet", "to_vitec"))
    if chance.random() < 0.1:
        sync["first_sync"] = "wait"
    if theme == "leads" and chance.random() < 0.5:
        sync["note"] = "activity"
    if chance.random() < 0.3:
        sync["clear_by_empty_string"] = True
    vitec = turned(_VITEC) | ({"vs9": "cleared"} if "clear_by_empty_string" in sync else {})
    if theme == "removals" and chance.random() < 0.5:
        sync["on_delete"] = {"contacts": chance.choice(("hold", "propagate")), "prospects": "hold"}
    return vitec, turned(_PROPSTREET), sync


def _population(chance: random.Random, theme: str) -> Iterator[Being]:
    for who in range(chance.randint(1, 3)):
        yield _contact(chance, who)
    for who in range(chance.randint(1, 2) if theme == "companies" else chance.random() < 0.1):
        yield _company(chance, who)
    if theme in WITH_ESTATES:
        kind, status = chance.choice((("CommercialProperty", "ForSale"), ("Project", "Running")))
        told = {"kind": kind, "status": status, "name": "Kontor vid hamnen"}
        if kind == "CommercialProperty":
            told["price"] = "12500000"
        yield Being("project", 0, vitec=told)
        for who in range(chance.randint(0, 2)):
            level = {"level": chance.choice(LEVELS)}
            yield Being("prospect", who, vitec=level, of=(0, who))


def _contact(chance: random.Random, who: int) -> Being:
    name = {"first_name": chance.choice(("Anna", "Bjørn", "Åsa")), "last_name": f"Berg {who}"}
    told = name | {"email": f"c{who}@example.se", "phone": f"070-174 06 {who:02}"}
    here, there = dict(told), dict(told)
    for side in (here, there):
        for field in ("phone", "last_name", "strategy"):
            if chance.random() < 0.25:
                side[field] = chance.choice(("", f"{field} of old {who}")) if field != "phone" else ""
        side["tags"] = chance.choice(("", "", "buyer", "investor,vip"))
    known = chance.choices(("both", "vitec", "propstreet"), (6, 3, 2))[0]
    return Being(
        "contact",
        who,
        vitec=here if known != "propstreet" else None,
        propstreet=there if known != "vitec" else None,
    )


def _company(chance: random.Random, who: int) -> Being:
    told = {"name": f"Fjord Eiendom {who} AS", "organisation_number": f"80000000{who}", "country": "NO"}
    here = told | {"website": f"www.fjord{who}.example"}
    there = told | {"website": chance.choice(("", f"https://fjord{who}.example/"))}
    known = chance.choices(("both", "vitec", "propstreet"), (6, 2, 2))[0]
    return Being(
        "company",
        who,
        vitec=here if known != "propstreet" else None,
        propstreet=there if known != "vitec" else None,
    )


# --- what breaks


def _faults(chance: random.Random, theme: str, last: float) -> Iterator[AnyStep]:
    """One to four things that break, more of the machine's in a story of crashes."""
    kinds = ["calls", "calls", "deliveries", "token", "jump", "bridge", "crash", "database", "connection"]
    if theme == "crashes":
        kinds += ["crash", "crash", "crash", "database", "backup"]
    for _ in range(chance.randint(1, 6 if theme == "crashes" else 4)):
        yield _fault(chance, chance.choice(kinds), round(chance.uniform(0, last + 5), 3))


def _handovers(chance: random.Random, last: float) -> Iterator[Crash | Pause]:
    """The daemon that has the tenant stands still, mostly until the other has it; or dies, and stays down for longer."""
    for _ in range(chance.randint(1, 3)):
        at = round(chance.uniform(5, last), 3)
        if chance.random() < 0.7:
            yield Pause(round(chance.choice((chance.uniform(5, 80), chance.uniform(90, 250))), 1), at=at)
        else:
            yield Crash(chance.choice((None, chance.randint(1, 60))), round(chance.uniform(1, 200), 1), at=at)


def _fault(chance: random.Random, kind: str, at: float) -> AnyStep:
    vendor: Vendor = chance.choice(("vitec", "propstreet"))
    seconds = round(chance.choice((2.0, 10.0, 60.0, 200.0)) * chance.uniform(0.5, 1.5), 1)
    match kind:
        case "calls":
            return Faults(vendor, seconds, _shares(chance), at=at)
        case "deliveries":
            drop = chance.choice((0.0, 0.5, 1.0))
            delay, copies = chance.choice((0.0, 2.0, 15.0)), chance.choice((1, 1, 2, 3))
            return Deliveries(vendor, seconds, drop, copies, chance.random() < 0.5, delay, at=at)
        case "token":
            return TokenExpired(at=at)
        case "jump":
            far = -3600.0 if vendor == "vitec" else -600.0  # as far back as a poll looks
            return ClockJump(vendor, chance.choice((far, -90.0, -2.0, 45.0)), at=at)
        case "bridge":
            field = chance.choice(("last_name", "strategy"))
            return ThirdParty(vendor, "contact", 0, field, round(chance.uniform(0.1, 30.0), 2), at=at)
        case "database":
            return DatabaseAway(round(chance.uniform(0.5, 20.0), 1), at=at)
        case "connection":
            return ConnectionLost(at=at)
        case "backup":
            return BackupRestored(
                round(chance.choice((1.0, 10.0, 60.0)) * chance.uniform(0.5, 1.5), 1), at=at
            )
    operation = chance.choice((None, chance.randint(1, 60)))
    return Crash(operation, round(chance.choice((0.1, 2.0, 40.0)), 1), at=at)


def _shares(chance: random.Random) -> dict[str, float]:
    kinds = chance.sample(CALLS_FAIL, chance.randint(1, 3))
    return {kind: round(chance.choice((0.05, 0.2, 0.6)), 2) for kind in kinds}


# --- smaller stories


def shrunk(story: Story) -> Iterator[Story]:
    """Smaller stories to try: without half of the steps, without all or one of the faults, one step, a knob, somebody."""
    steps = story.steps
    size = len(steps) // 2
    while size > 1:
        for start in range(0, len(steps), size):
            yield structs.replace(story, steps=(*steps[:start], *steps[start + size :]))
        size //= 2
    if story.faulty:
        yield structs.replace(story, steps=tuple(s for s in steps if not isinstance(s, FAULTS)))
    for n in range(len(steps)):
        yield structs.replace(story, steps=(*steps[:n], *steps[n + 1 :]))
    for name in Knobs.__struct_fields__:
        default = getattr(Knobs(), name)
        if name != "theme" and getattr(story.knobs, name) != default:
            yield structs.replace(story, knobs=structs.replace(story.knobs, **{name: default}))
    for name in ("vitec", "propstreet", "sync"):
        table: dict[str, Any] = getattr(story.knobs, name)
        for key in table if len(table) > 1 else ():
            less = {k: v for k, v in table.items() if k != key}
            yield structs.replace(story, knobs=structs.replace(story.knobs, **{name: less}))
    for n in range(len(story.population)):
        less_people = (*story.population[:n], *story.population[n + 1 :])
        yield structs.replace(story, population=less_people)


def leads(story: Story) -> list[Lead]:
    """The forms that are posted."""
    return [step for step in story.steps if isinstance(step, Lead)]
