"""The story of one contact: 30 edits on both sides, a conflict and a hold, asked for in every way that there is.

`docs/inspection.md` holds the output of a run of this story, each block below the command that gave it. What differs
from run to run is masked on both sides (`MASKS`: times, the summer's zone, positions, derived ids), reads that found
nothing new are left out, and then every word is compared. A run with `TOVEIS_WRITE_DOCS=1` writes the blocks anew.
"""

import os
import re
import shlex
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.vitec_connect import Switches as VitecSwitches
from daemon.sandbox.world import TENANT
from daemon.storage import log, working
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import rows, toveis

PAGE = Path(__file__).parents[2] / "docs" / "inspection.md"
BLOCK = re.compile(r"^```console\n\$ (?P<command>.*?)\n(?P<output>.*?)^```", re.MULTILINE | re.DOTALL)
OSLO = ZoneInfo("Europe/Oslo")
LONG = "Kari Anne-Elisabeth Wilhelmina Åse"
"""A first name of more than the 30 characters that Vitec takes."""

KARI = "kari.ase@example.no"

MASKS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"(\d+ +)?\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),  # with the position before it
    (r"CES?T \(UTC\+0[12]00\)|CES?T", "ZONE"),
    (r"\b(event|trace) \d+\b", r"\1 N"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{3,4})?\b", "ID"),
    (r"[─│├└]", " "),
)

EDITS: list[tuple[str, dict[str, Any]]] = [
    ("propstreet", {"phone": "+46701740601"}),
    ("vitec", {"telephone": {"cell": "070-174 06 02"}}),
    ("vitec", {"lastName": "Bjørnstad"}),
    ("propstreet", {"lastName": "Bjørnstad-Öberg"}),
    ("vitec", {"note": "Kontor i Malmö"}),
    ("propstreet", {"strategy": "Kontor og lager i Malmö"}),
    *((("vitec", "propstreet")[n % 2], {}) for n in range(14)),
    ("vitec", {"lastName": "Bjørnstad Öberg"}),
    ("propstreet", {"email": "kari.bjornstad@example.no"}),
    ("propstreet", {"strategy": "Logistikk på Östlandet"}),
]
"""What people edit before the conflict; the 14 that say nothing are about the strategy."""


class Story:
    """The daemon, the contact, the moments of its story, and what the command line says of it."""

    def __init__(self, running: Flow) -> None:
        self.running = running
        self.vitec_id = ""
        self.key = ""
        self.edits = 0
        self.moments: dict[str, str] = {}
        self._answers: dict[tuple[str, ...], str] = {}
        self.config = ("--config", str(running.config_file))

    async def begin(self) -> None:
        """Somebody enters Kari at Vitec, and Toveis makes her at Propstreet."""
        running = self.running
        await eventually(self._polled, timeout=60)
        self.vitec_id = running.world.vitec.create(
            "person", firstName="Kari", lastName="Berg", email={"emailAddress": "kari@example.no"}
        )
        await eventually(self._due, timeout=60)
        await working.ask_polls(await running.connect(), TENANT)
        await eventually(lambda: bool(running.world.propstreet.records("contact")), timeout=60)
        [there] = running.world.propstreet.records("contact")
        self.key = there["id"]
        await eventually(running.idle, timeout=60)

    async def _polled(self) -> bool:
        cursors = await working.cursors(await self.running.connect(), TENANT)
        names = {working.source_of(v, c) for v in ("vitec", "propstreet") for c in ("contact", "company")}
        return all(name in cursors and cursors[name].looked_at is not None for name in names)

    async def _due(self) -> bool:
        entity = await self.running.entity("contact", "vitec", self.vitec_id)
        return entity is not None and bool(entity.pending)

    async def edit(self, side: str, fields: dict[str, Any], *, told: bool = True) -> None:
        """A person edits, and Toveis has dealt with it; or nobody tells Toveis."""
        running, self.edits = self.running, self.edits + 1
        before = await self._head()
        if not told:
            notifier = running.world.vitec.notifier
            subscriptions, notifier.subscriptions = notifier.subscriptions, []
            running.world.vitec.edit(self.vitec_id, **fields)
            notifier.subscriptions = subscriptions
            return
        if side == "vitec":
            running.world.vitec.edit(self.vitec_id, **fields)
        else:
            running.world.propstreet.edit("contact", self.key, **fields)

        async def dealt_with() -> bool:
            return await self._head() > before and await running.idle()

        await eventually(dealt_with, timeout=60)

    async def _head(self) -> int:
        return await log.head(await self.running.connect(), TENANT)

    def now(self, name: str) -> None:
        """Remember this moment."""
        self.moments[name] = datetime.now(OSLO).replace(tzinfo=None).isoformat(timespec="milliseconds")

    async def ask(self, *words: str) -> str:
        """What a command says, on 80 columns and in Oslo."""
        if words not in self._answers:
            code, output, errors = await toveis(*words, *self.config, env=_surroundings())
            assert (code, errors) == (0, ""), (words, errors)
            self._answers[words] = output
        return self._answers[words]

    async def told(self, *words: str) -> list[dict[str, Any]]:
        """The same as JSON."""
        return rows(await self.ask(*words, "--json"))


def _surroundings() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
    return {**kept, "COLUMNS": "80", "TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}


@pytest.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Story]:
    """The whole story, once. Nobody hears of what Toveis itself writes, so that every run has the same events."""
    async with up(
        tmp_path_factory.mktemp("story"),
        cluster,
        poll="1h",
        vitec=VitecSwitches(vs5="none"),
        propstreet=PropstreetSwitches(ps5="accepted", ps11=False),
    ) as running:
        told = Story(running)
        await told.begin()
        for number, (side, fields) in enumerate(EDITS, 1):
            words = {"note" if side == "vitec" else "strategy": f"Kontor i Oslo, {number} MNOK"}
            await told.edit(side, fields or words)
        told.now("before the conflict")
        await told.edit("vitec", {"telephone": {"cell": "070-174 06 03"}}, told=False)
        await told.edit("propstreet", {"phone": "+46701740604"})
        told.now("after the conflict")
        await told.edit("vitec", {"lastName": "Bjørnstad"})
        await told.edit("propstreet", {"firstName": LONG})
        await told.edit("vitec", {"note": "Kontor i Göteborg"})
        await told.edit("propstreet", {"strategy": "Kontor i Göteborg eller Malmö"})
        await told.edit("vitec", {"email": {"emailAddress": "kari.ase@example.no"}})
        told.now("the end")
        yield told


async def test_both_sides_were_edited_30_times_with_one_conflict_and_one_hold(story: Story) -> None:
    assert story.edits == 30
    told = await story.told("history", "contact", KARI)
    types = [row["type"] for row in told]
    assert (types.count("ConflictResolved"), types.count("CommandHeld")) == (1, 1)
    assert [row["position"] for row in told] == sorted({row["position"] for row in told})


async def test_the_history_of_one_side_type_and_time_is_that_part_of_the_whole(story: Story) -> None:
    whole = await story.told("history", "contact", KARI)
    since, until = story.moments["before the conflict"], story.moments["after the conflict"]
    part = await story.told("history", "contact", KARI, "--since", since, "--until", until)
    assert 0 < len(part) < len(whole)
    assert part == [row for row in whole if row in part]
    assert {row["type"] for row in part} >= {"ConflictResolved", "CommandIssued", "CommandSucceeded"}
    for side in ("vitec", "propstreet", "toveis"):
        assert await story.told("history", "contact", KARI, "--side", side) == [
            row for row in whole if row["origin"] == side
        ]
    two = ("--type", "CommandHeld", "--type", "RecordsLinked")
    assert [row["type"] for row in await story.told("history", "contact", KARI, *two)] == [
        "RecordsLinked",
        "CommandHeld",
    ]
    assert await story.told("history", "contact", KARI, "--side", "operator") == []
    said = await story.ask("history", "contact", KARI, "--side", "operator")
    assert said == "no event of it is of that kind, side or time\n"


async def test_an_event_type_that_there_is_not_is_refused_with_those_that_there_are(story: Story) -> None:
    code, _, errors = await toveis("history", "contact", KARI, "--type", "Edited", *story.config)
    assert code == 2
    assert "ConflictResolved" in errors
    assert "Traceback" not in errors


async def test_the_phone_is_explained_by_its_edit_its_rule_what_lost_and_its_command(story: Story) -> None:
    [why] = await story.told("explain", "contact", KARI, "phone")
    assert {"field", "value", "side", "event", "since", "rule", "lost"} <= why.keys()
    assert (why["value"], why["side"], why["rule"]) == ("+46701740604", "propstreet", "the later edit wins")
    assert (why["way"], why["change_origin"], why["operator"]) == ("webhook", "ui", None)
    [lost] = why["lost"]
    assert (lost["value"], lost["side"], lost["order_uncertain"]) == ("070-174 06 03", "vitec", True)
    [conflict] = rows((await toveis("conflicts", "--json", *story.config))[1])
    assert lost["conflict"] == conflict["id"]
    told = {row["position"]: row for row in await story.told("history", "contact", KARI)}
    assert told[why["event"]]["summary"] == "Propstreet (webhook): phone +46701740604"
    assert told[lost["event"]]["summary"] == "Vitec (read): phone 070-174 06 03"
    command = why["command"]
    assert (command["target"], command["state"]) == ("vitec", "succeeded")
    assert told[command["issued"]]["data"]["command"] == command["id"]
    assert told[command["event"]]["type"] == "CommandSucceeded"
    assert why["held"] == []


async def test_a_field_on_hold_says_why_and_what_the_other_side_still_has(story: Story) -> None:
    [why] = await story.told("explain", "contact", KARI, "first name")
    assert why["values"] == {"vitec": "Kari", "propstreet": LONG}
    assert (why["agreed"], why["command"]) == (False, None)
    [held] = why["held"]
    assert (held["target"], held["state"], held["reason"]) == ("vitec", "held", "too_long")
    assert "30 characters" in held["detail"]


async def test_every_field_is_explained_and_an_unknown_one_names_them(story: Story) -> None:
    told = await story.told("explain", "contact", KARI)
    [shown] = await story.told("show", "contact", KARI)
    assert {why["field"]: why["value"] for why in told} == {
        field: origin["value"] for field, origin in shown["fields"].items()
    }
    code, output, errors = await toveis("explain", "contact", KARI, "shoe size", *story.config)
    assert (code, output) == (2, "")
    assert errors.startswith("toveis: it has no field 'shoe size'; its fields: first_name, ")


async def test_what_was_shown_then_and_what_changed_since_make_what_is_shown_now(story: Story) -> None:
    since = story.moments["before the conflict"]
    [then] = await story.told("show", "contact", KARI, "--at", since)
    [now] = await story.told("show", "contact", KARI)
    assert then["shadows"]["vitec"]["phone"]["value"] == "070-174 06 02"
    held = {
        (vendor, field): value["value"]
        for vendor, shadow in then["shadows"].items()
        for field, value in shadow.items()
    }
    changes = [c for c in await story.told("diff", "contact", KARI, "--from", since) if c["kind"] == "field"]
    for change in changes:
        place = (change["side"].partition(":")[0], change["field"])
        assert held[place] == change["before"]
        held[place] = change["after"]
    assert held == {
        (vendor, field): value["value"]
        for vendor, shadow in now["shadows"].items()
        for field, value in shadow.items()
    }
    assert {change["field"] for change in changes} == {
        "first_name",
        "last_name",
        "email",
        "phone",
        "strategy",
    }


async def test_a_diff_names_the_link_the_hold_and_the_event_of_each_change(story: Story) -> None:
    told = {row["position"]: row for row in await story.told("history", "contact", KARI)}
    changes = await story.told("diff", "contact", KARI, "--from", "1d ago")
    kinds = {change["kind"]: change for change in changes}
    assert kinds.keys() == {"record", "link", "held", "field"}
    assert told[kinds["link"]["event"]]["type"] == "RecordsLinked"
    assert kinds["link"]["before"] is None
    assert told[kinds["held"]["event"]]["type"] == "CommandHeld"
    for change in changes:
        assert (told[change["event"]]["type"], told[change["event"]]["origin"]) == (
            change["type"],
            change["origin"],
        )
    same = story.moments["the end"]
    assert await story.told("diff", "contact", KARI, "--from", same, "--to", same) == []
    assert "nothing changed" in await story.ask("diff", "contact", KARI, "--from", same, "--to", same)
    code, _, errors = await toveis(
        "diff", "contact", KARI, "--from", "1h ago", "--to", "2h ago", *story.config
    )
    assert code == 2
    assert "--from is later than --to" in errors


async def test_before_anything_was_known_there_is_nothing_to_show(story: Story) -> None:
    code, output, errors = await toveis("show", "contact", KARI, "--at", "1d ago", *story.config)
    assert (code, output) == (2, "")
    assert errors.startswith("toveis: nothing was known of it then; the first was at 20")
    for words in (("diff", "--from", "2d ago", "--to", "1d ago"),):
        code, output, errors = await toveis(words[0], "contact", KARI, *words[1:], *story.config)
        assert (code, output) == (2, "")
        assert "nothing was known of it then" in errors


async def test_the_trace_of_an_outcome_leads_to_the_webhook_that_began_it(story: Story) -> None:
    [why] = await story.told("explain", "contact", KARI, "phone")
    by_outcome = await story.told("trace", str(why["command"]["event"]))
    by_command = await story.told("trace", why["command"]["id"][:8])
    assert [row["position"] for row in by_outcome] == [row["position"] for row in by_command]
    root = by_outcome[0]
    assert (root["position"], root["parent"], root["depth"]) == (why["event"], None, 0)
    above = {row["position"]: row for row in reversed(by_outcome)}
    path, place = [], why["command"]["event"]
    while place is not None:
        path.append(above[place]["type"])
        place = next(row["parent"] for row in by_outcome if row["position"] == place and not row["again"])
    assert path == [
        *("CommandSucceeded", "CommandAttempted", "CommandIssued", "ConflictResolved"),
        *("RecordObserved", "CommandIssued", "RecordObserved"),
    ]
    assert [row["position"] for row in by_outcome if row["asked"]] == [why["command"]["event"]]
    assert [row["type"] for row in by_command if row["asked"]] == ["CommandIssued"]


async def test_an_event_is_traced_by_its_position_its_id_and_the_beginning_of_that(story: Story) -> None:
    first, *_ = await story.told("trace", "2")
    assert (first["origin"], first["type"]) == ("vitec", "NotificationReceived")
    second = (await story.told("trace", "2"))[1]
    for ref in (second["event_id"], second["event_id"][:13], second["event_id"].replace("-", "")):
        assert [row["asked"] for row in await story.told("trace", ref)][:2] == [False, True], ref
    for ref in ("99999", "abcde", "no-such-id", "", "'; --", "f" * 33):
        code, output, errors = await toveis("trace", ref, *story.config)
        assert (code, output) == (2, ""), ref
        assert errors.startswith("toveis: no event or command is called"), ref


@pytest.mark.parametrize("command", ["explain", "diff"])
async def test_a_lead_is_told_by_its_history_alone(story: Story, command: str) -> None:
    more = ("--from", "1d ago") if command == "diff" else ()
    code, output, errors = await toveis(command, "lead", "anna@example.se", *more, *story.config)
    assert (code, output) == (2, "")
    assert "`toveis history lead REF`" in errors
    assert len(errors.splitlines()) == 1


async def test_what_is_told_fits_80_columns_and_is_in_colour_on_a_terminal_only(story: Story) -> None:
    for words in await _questions(story):
        output = await story.ask(*words)
        assert max(map(len, output.splitlines())) <= 80, words
        assert "\x1b" not in output
    env = {**_surroundings(), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    code, output, _ = await toveis("explain", "contact", KARI, "phone", *story.config, env=env)
    assert code == 0
    assert "\x1b[" in output
    code, output, _ = await toveis("explain", "contact", KARI, *story.config, env={**env, "NO_COLOR": "1"})
    assert "\x1b[3" not in output


async def test_the_page_on_inspection_holds_what_the_commands_say(story: Story) -> None:
    questions = await _questions(story)
    text = PAGE.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == len(questions)
    outputs = [await story.ask(*words) for words in questions]
    if os.environ.get("TOVEIS_WRITE_DOCS"):
        for block, words, output in reversed(list(zip(blocks, questions, outputs, strict=True))):
            plain = "\n".join(line.rstrip() for line in output.splitlines())
            new = f"```console\n$ {_typed(words)}\n{plain}\n```"
            text = text[: block.start()] + new + text[block.end() :]
        PAGE.write_text(text, "utf-8")
        return
    for block, words, output in zip(blocks, questions, outputs, strict=True):
        assert _masked(block["command"]) == _masked(_typed(words))
        assert _masked(block["output"]) == _masked(output)


async def _questions(story: Story) -> list[tuple[str, ...]]:
    """The commands of the page, in its order."""
    since, until = story.moments["before the conflict"], story.moments["after the conflict"]
    told = await story.told("history", "contact", KARI)
    [conflict] = [row["position"] for row in told if row["type"] == "ConflictResolved"]
    [held] = [row["data"]["command"] for row in told if row["type"] == "CommandHeld"]
    return [
        ("history", "contact", KARI, "--since", since, "--until", until),
        ("history", "contact", KARI, "--type", "ConflictResolved", "--type", "CommandHeld"),
        ("explain", "contact", KARI, "phone"),
        ("explain", "contact", KARI),
        ("show", "contact", KARI, "--at", since),
        ("diff", "contact", KARI, "--from", since, "--to", until),
        ("trace", str(conflict)),
        ("trace", held[:8]),
    ]


def _typed(words: tuple[str, ...]) -> str:
    return shlex.join(("toveis", *words))


def _masked(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if "Vitec (read): nothing new" not in line]
    told = " ".join(lines)
    for pattern, mask in MASKS:
        told = re.sub(pattern, mask, told)
    return told.split()
