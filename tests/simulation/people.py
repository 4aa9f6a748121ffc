"""The people of a story at work at the twins; what cannot be done, because nobody is there, is skipped and counted."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

from daemon.sandbox import people
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES, Action, Fields, Record
from daemon.sandbox.steps import Category as Told
from daemon.sandbox.steps import Step as DayStep
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from tests.simulation.steps import (
    VENDORS,
    Being,
    ByPeople,
    Create,
    Edit,
    Lead,
    Merge,
    Note,
    Remove,
    SetClassification,
    SetLevel,
    SetStatus,
    Tag,
    ThirdParty,
    Unrelate,
    Untag,
    Values,
    Vendor,
)
from tests.simulation.truth import Cell, Truth, Version

BRIDGE: Final = " (bridge)"
"""Ends every value that a third system has rewritten."""


class NobodyThereError(Exception):
    """What a step is about is not at this vendor: not yet, or no more."""


class People:
    """Both vendors' users. `skipped` counts, by reason, what could not be done; `done` what was."""

    def __init__(self, vitec: VitecConnectTwin, propstreet: PropstreetTwin, truth: Truth) -> None:
        self.vitec, self.propstreet, self.truth = vitec, propstreet, truth
        self.skipped: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._hands = people.People(vitec, propstreet)

    def move_in(self, population: tuple[Being, ...]) -> None:
        """Everybody and everything that is there before the story, in its order."""
        for being in population:
            for vendor in VENDORS:
                fields = being.vitec if vendor == "vitec" else being.propstreet
                if fields is not None:
                    self.do(Create(vendor, being.category, being.who, fields, being.of, at=0.0))

    def do(self, step: ByPeople) -> bool:
        """Carry out a step of a person's; False when it was skipped."""
        name = type(step).__name__
        try:
            self._do(step)
        except NobodyThereError:
            self.skipped[f"{name}: nobody there"] += 1
            return False
        except (Problem, ValueError, KeyError) as refusal:  # the vendor's own form refuses it
            self.skipped[f"{name}: {type(refusal).__name__}"] += 1
            return False
        finally:
            self.truth.look("person")
        self.done[name] += 1
        return True

    def request(self, lead: Lead) -> tuple[str, Mapping[str, Any]]:
        """The path and the body with which a form on the web is posted to the daemon."""
        told, customer = lead.fields, self.vitec.customer_id
        if lead.form == "interest":
            estate = "" if lead.project is None else self.id_of("vitec", "project", lead.project)
            name = {"firstName": told["first_name"], "lastName": told["last_name"]}
            reached = {"email": {"emailAddress": told["email"]}, "cellPhone": told["phone"]}
            person = {"customerId": customer, **name, **reached}
            body = {"updatePerson": person, "estateId": estate, "interestNote": told["message"]}
            return "/Interest/SendInterestAndContactOnEstate", body
        of_person = ("first_name", "last_name", "email", "phone", "address", "zip_code", "city")
        return "/lead", {
            "customer": {"customer_id": customer, "lead_id": "LED100"},
            "person": {name: told[name] for name in of_person if name in told},
            "property": {
                "valuation": 4_850_000,
                "property_sub_type": "Apartment",
                "living_area": 71.5,
            },
        }

    def bridge(self, step: ThirdParty) -> None:
        """From now on a third system rewrites a field at one vendor, a moment after each change."""

        def heard(version: Version) -> None:
            with suppress(NobodyThereError):
                if version.cell == self._cell(step) and version.value:
                    asyncio.get_running_loop().call_later(step.after, rewrite)

        def rewrite() -> None:
            with suppress(NobodyThereError):
                present = self.truth.present.get(self._cell(step))
                if present is not None and present.value and not present.value.endswith(BRIDGE):
                    value = f"{present.value}{BRIDGE}"
                    self.do(Edit(step.vendor, step.category, step.who, step.field, value, at=step.at))

        self.truth.heard.append(heard)

    def id_of(self, vendor: Vendor, category: str, who: int) -> str:
        """The id of a record at a vendor; what the daemon made is found by its reference. Raises NobodyThereError."""
        try:
            known = self._hands.id_of(vendor, f"{category}{who}")
        except KeyError:
            known = None
        if known is None or not self.truth.is_there((vendor, category, known)):
            raise NobodyThereError
        return known

    def _cell(self, step: Edit | ThirdParty) -> Cell:
        return Cell(step.vendor, step.category, self.id_of(step.vendor, step.category, step.who), step.field)

    # --- what they do

    def _do(self, step: ByPeople) -> None:
        match step:
            case Create():
                self._create(step)
            case Edit():
                self.id_of(step.vendor, step.category, step.who)
                self._tell(
                    step.vendor,
                    "edit",
                    step.category,
                    f"{step.category}{step.who}",
                    {step.field: step.value},
                )
            case Remove():
                self._remove(step)
            case Merge():
                heir, source = (self.id_of("vitec", step.category, who) for who in (step.who, step.source))
                self.vitec.merge(heir, source)
            case Tag():
                self._tag(step)
            case Note():
                self._note(step)
            case SetStatus():
                self.id_of("vitec", "project", step.project)
                self._tell("vitec", "edit", "project", f"project{step.project}", {"status": step.status})
            case SetLevel() | Unrelate() | SetClassification():
                self._relate(step)

    def _create(self, step: Create) -> None:
        if step.category == "prospect":
            assert step.of is not None
            [word] = step.fields.values()
            project, contact = step.of
            self._relate(
                SetLevel(project, contact, word, at=step.at)
                if step.vendor == "vitec"
                else SetClassification(project, contact, word, at=step.at)
            )
            return
        key = f"{step.category}{step.who}"
        if (step.vendor, key) in self._hands.ids:
            raise ValueError("is there already")
        fields = {field: value for field, value in _typed(step.fields).items() if value}
        self._hands.create(Record(step.vendor, step.category, key, fields))

    def _tell(self, vendor: Vendor, action: Action, category: Told, key: str, fields: Values) -> None:
        self._hands.do(DayStep("", vendor, action, category, key, _typed(fields), ""))

    def _remove(self, step: Remove) -> None:
        record = self.id_of(step.vendor, step.category, step.who)
        match step.vendor, step.category:
            case "vitec", "project":
                self.vitec.remove_estate(record)
            case "vitec", _:
                self.vitec.remove(record)
            case _:
                self.propstreet.delete(step.category, record)

    def _tag(self, step: Tag) -> None:
        """One tag more or less, whatever else is there."""
        record, adds = self.id_of(step.vendor, step.category, step.who), not isinstance(step, Untag)
        if step.vendor == "propstreet":
            tags = [tag for tag in self.propstreet.get(step.category, record)["tags"] if tag != step.tag]
            self.propstreet.edit(step.category, record, tags=[*tags, step.tag] if adds else tags)
            return
        table = CATEGORIES if step.category == "contact" else COMPANY_CATEGORIES
        [meant] = [
            each.id
            for each in self.vitec.catalogue.values()
            if table.get(each.name) == step.tag
            and each.kind == ("company" if step.category == "company" else "person")
        ]
        held = [each for each in self.vitec.contacts[record].categories if each != meant]
        self.vitec.edit(record, categories=[*held, meant] if adds else held)

    def _note(self, step: Note) -> None:
        record = self.id_of(step.vendor, "contact", step.who)
        if step.vendor == "vitec":
            self.vitec.add_note(record, step.text)
        else:
            self.propstreet.add_note("contact", record, step.text)

    def _relate(self, step: SetLevel | Unrelate | SetClassification) -> None:
        vendor: Vendor = "propstreet" if isinstance(step, SetClassification) else "vitec"
        project = self.id_of(vendor, "project", step.project)
        contact = self.id_of(vendor, "contact", step.contact)
        key = f"project{step.project}/contact{step.contact}"
        match step:
            case SetLevel():
                self._tell(vendor, "edit", "prospect", key, {"level": step.level})
            case SetClassification():
                self._tell(vendor, "edit", "prospect", key, {"classification": step.classification})
            case Unrelate():
                self.vitec.unrelate(contact, project)


def _typed(fields: Values) -> Fields:
    """As the hands take it: a blank is None, tags are several."""
    told: dict[str, object] = {name: value or None for name, value in fields.items()}
    if "tags" in fields:
        told["tags"] = tuple(filter(None, fields["tags"].split(",")))
    return cast("Fields", told)
