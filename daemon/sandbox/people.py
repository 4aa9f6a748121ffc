"""The people of the sandbox at work: they edit at one vendor or the other, in that vendor's own words."""

from collections.abc import Mapping
from typing import Any

from daemon.sandbox.forms import SOURCES
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES, Category, Fields, Record, Script, Side, Step
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
    "stage": "teaser_stage",
    "status": "status",
}


class People:
    """Both vendors' users. `ids` remembers under which id each of the cast is known at each vendor."""

    def __init__(self, vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> None:
        self.vitec = vitec
        self.propstreet = propstreet
        self.ids: dict[tuple[Side, str], str] = {}
        self._categories: dict[str, Category] = {}
        for kind, table in (("person", CATEGORIES), ("company", COMPANY_CATEGORIES)):
            for number, name in enumerate(table, 1):
                vitec.define_category(f"KAT{kind[0].upper()}{number}", name, kind)  # type: ignore[arg-type]
        for source, name in SOURCES.items():
            vitec.define_lead_source(source, name)

    def move_in(self, script: Script) -> None:
        """Everybody and everything that is there before the day."""
        for record in script.population:
            self.create(record)

    def can_do(self, step: Step) -> bool:
        """Whether all that the step is about is there: what was made at the other vendor has to arrive first."""
        if step.category in ("prospect", "link"):
            ends = self._ends(step.side, step.key)
            new = step.action == "create" or step.side == "vitec"
            return ends is not None and (new or self._prospect(*ends) is not None)
        return step.action == "create" or self.id_of(step.side, step.key) is not None

    def do(self, step: Step) -> None:
        """One step of the day, but for what happens on the web."""
        match step.action:
            case "create":
                self.create(step)
            case "edit":
                self._edit(step)
            case "merge":
                self._merge(step)

    def create(self, new: Record | Step) -> None:
        """Something new, made by a person."""
        if new.category in ("prospect", "link"):
            self._join(new)
            return
        self._categories[new.key] = new.category
        self.ids[new.side, new.key] = self._create(new)

    def id_of(self, side: Side, key: str) -> str | None:
        """The id of a record at a vendor, None before it is there; one that Toveis made is found by its reference."""
        if (side, key) not in self.ids and (found := self._found(side, key)) is not None:
            self.ids[side, key] = found
        return self.ids.get((side, key))

    def _found(self, side: Side, key: str) -> str | None:
        far = self.ids["propstreet" if side == "vitec" else "vitec", key]
        for record in self.propstreet.records(self._categories[key]):
            reference = reference_of(record, REFERENCE)
            if side == "propstreet" and reference == far:
                return str(record["id"])
            if side == "vitec" and record["id"] == far:
                return reference
        return None

    def _ends(self, side: Side, key: str) -> tuple[str, str] | None:
        """The ids of the two that a prospect or a link joins, None before both are there."""
        left, _, right = key.partition("/")
        ends = self.id_of(side, left), self.id_of(side, right)
        return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])

    def _prospect(self, project: str, party: str) -> str | None:
        for prospect in self.propstreet.records("prospect"):
            if prospect["projectId"] == project and party in (prospect["contactId"], prospect["companyId"]):
                return str(prospect["id"])
        return None

    # --- what they do

    def _create(self, new: Record | Step) -> str:
        match new.side, new.category:
            case "vitec", "project":
                kind, status = str(new.fields["kind"]), str(new.fields["status"])
                return self.vitec.create_estate(kind, status=status, **_estate(new.fields, kind))
            case "vitec", category:
                kind = "person" if category == "contact" else "company"
                return self.vitec.create(kind, **self._vitec(category, new.fields))  # type: ignore[arg-type]
        return self.propstreet.create(new.category, **self._propstreet(new.category, new.fields, {}))

    def _edit(self, step: Step) -> None:
        if step.category in ("prospect", "link"):
            self._join(step)
            return
        record = self.id_of(step.side, step.key)
        assert record is not None
        match step.side, step.category:
            case "vitec", "project":
                self._change_estate(record, step.fields)
            case "vitec", category:
                self.vitec.edit(record, **self._vitec(category, step.fields))
            case _, category:
                present = self.propstreet.get(category, record)
                self.propstreet.edit(category, record, **self._propstreet(category, step.fields, present))

    def _change_estate(self, estate: str, fields: Fields) -> None:
        if visitors := fields.get("viewing", ()):
            present = [self.id_of("vitec", visitor) for visitor in visitors]
            self.vitec.add_viewing(estate, [contact for contact in present if contact is not None])
            return
        status = fields.get("status")
        kind = self.vitec.register[estate].kind
        self.vitec.edit_estate(
            estate, status=None if status is None else str(status), **_estate(fields, kind)
        )

    def _join(self, new: Record | Step) -> None:
        """A relation of a person or a company: to an estate or a project, or of a person to a company."""
        ends = self._ends(new.side, new.key)
        assert ends is not None
        left, right = ends
        if new.category == "link":
            self.vitec.connect(left, right, str(new.fields["relation"]))
        elif new.side == "vitec":
            self._speculate(left, right, new.fields)
        elif (known := self._prospect(left, right)) is not None:
            self.propstreet.edit("prospect", known, **new.fields)
        else:
            self.propstreet.create("prospect", projectId=left, contactId=right, **new.fields)

    def _speculate(self, estate: str, contact: str, fields: Fields) -> None:
        if "level" in fields:
            self.vitec.relate(contact, estate, str(fields["level"]))
        if "bid" in fields:
            self.vitec.bid(contact, estate, int(str(fields["bid"])))
        if fields.get("role") == "buyer":
            self.vitec.make_buyer(contact, estate)

    def _merge(self, step: Step) -> None:
        """The source is known by its heir's id from now on."""
        heir, source = self.ids["vitec", step.key], str(step.fields["source"])
        self.vitec.merge(heir, self.ids["vitec", source])
        self.ids["vitec", source] = heir

    # --- in each vendor's words

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


def _estate(fields: Fields, kind: str) -> dict[str, Any]:
    """Name and price of an estate in Vitec's words: only a building of many homes has a name of its own."""
    words: dict[str, Any] = {}
    if "name" in fields:
        project = kind == "Project"
        group, name = ("baseInformation", "projectName") if project else ("description", "sellingHeading")
        words[group] = {name: fields["name"]}
    if "price" in fields:
        words["price"] = {"price": int(str(fields["price"]))}
    return words
