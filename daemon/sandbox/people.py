"""The people of the sandbox at work: they edit at one vendor or the other, in that vendor's own words."""

from collections.abc import Mapping
from typing import Any

from daemon.sandbox.cast import CATEGORIES, COMPANY_CATEGORIES, Fields, Record, Script, Step
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

REFERENCE = "vitec-next"
ORGANISATION_NUMBER = "organization-number"

VITEC_WORDS = {
    "first_name": "firstName",
    "last_name": "lastName",
    "name": "name",
    "organisation_number": "corporateNumber",
    "website": "homePage",
    "strategy": "note",
}
PROPSTREET_WORDS = {
    "first_name": "firstName",
    "last_name": "lastName",
    "email": "email",
    "phone": "phone",
    "name": "name",
    "country": "countryCode",
    "website": "homepageUrl",
    "strategy": "strategy",
}


class People:
    """Both vendors' users. `ids` remembers under which id each of the cast is known at each vendor."""

    def __init__(self, vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> None:
        self.vitec = vitec
        self.propstreet = propstreet
        self.ids: dict[tuple[str, str], str] = {}
        for kind, table in (("person", CATEGORIES), ("company", COMPANY_CATEGORIES)):
            for number, name in enumerate(table, 1):
                vitec.define_category(f"KAT{kind[0].upper()}{number}", name, kind)  # type: ignore[arg-type]

    def move_in(self, script: Script) -> None:
        """Everybody who is there before the day."""
        for record in script.population:
            self.ids[record.side, record.key] = self.create(record)

    def can_do(self, step: Step) -> bool:
        """Whether the record that the step edits is there: one made at the other vendor has to arrive first."""
        return step.action == "create" or self._id_of(step) is not None

    def do(self, step: Step) -> None:
        """One step of the day."""
        if step.action == "create":
            self.ids[step.side, step.key] = self.create(step)
            return
        record = self._id_of(step)
        assert record is not None
        if step.side == "vitec":
            self.vitec.edit(record, **self._vitec(step.category, step.fields))
        else:
            present = self.propstreet.get(step.category, record)
            self.propstreet.edit(
                step.category, record, **self._propstreet(step.category, step.fields, present)
            )

    def create(self, new: Record | Step) -> str:
        """A new record, made by a person."""
        if new.side == "vitec":
            kind = "person" if new.category == "contact" else "company"
            return self.vitec.create(kind, **self._vitec(new.category, new.fields))  # type: ignore[arg-type]
        return self.propstreet.create(new.category, **self._propstreet(new.category, new.fields, {}))

    def _id_of(self, step: Step) -> str | None:
        """The record's id at the step's vendor; one that Toveis made is found by its reference."""
        known = self.ids.get((step.side, step.key))
        if known is None:
            far = "propstreet" if step.side == "vitec" else "vitec"
            known = self._counterpart(step, self.ids[far, step.key])
        return known

    def _counterpart(self, step: Step, there: str) -> str | None:
        for record in self.propstreet.records(step.category):
            reference = reference_of(record, REFERENCE)
            if step.side == "propstreet" and reference == there:
                return str(record["id"])
            if step.side == "vitec" and record["id"] == there:
                return reference
        return None

    def _vitec(self, category: str, fields: Fields) -> dict[str, Any]:
        words: dict[str, Any] = {VITEC_WORDS[f]: v for f, v in fields.items() if f in VITEC_WORDS}
        if "email" in fields:
            words["email"] = {"emailAddress": fields["email"]}
        if "phone" in fields:
            words["telephone"] = {"cell": fields["phone"]}
        if "country" in fields:
            words["address"] = {"countryCode": fields["country"]}
        if "tags" in fields:
            table = CATEGORIES if category == "contact" else COMPANY_CATEGORIES
            letter = "P" if category == "contact" else "C"
            words["categories"] = [
                f"KAT{letter}{number}"
                for number, tag in enumerate(table.values(), 1)
                if tag in fields["tags"]
            ]
        return words

    def _propstreet(self, category: str, fields: Fields, present: Mapping[str, Any]) -> dict[str, Any]:
        words: dict[str, Any] = {PROPSTREET_WORDS[f]: v for f, v in fields.items() if f in PROPSTREET_WORDS}
        if "tags" in fields:
            words["tags"] = list(fields["tags"])
        if "organisation_number" in fields:
            others = [r for r in present.get("externalRefs", []) if r["namespace"] != ORGANISATION_NUMBER]
            number = {"namespace": ORGANISATION_NUMBER, "id": fields["organisation_number"]}
            words["externalRefs"] = [*others, number]
        return words


def reference_of(record: Mapping[str, Any], namespace: str) -> str | None:
    """The id that a Propstreet record carries in a namespace."""
    return next((r["id"] for r in record["externalRefs"] if r["namespace"] == namespace), None)
