"""How records read through the API (models Contact, Company, Project, Prospect, Property; ref GET links)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from daemon.sandbox.twins.propstreet.records import Record, Table
from daemon.sandbox.twins.propstreet.switches import Switches

_CHANGE = {"created": "create", "updated": "update", "deleted": "delete", "removed": "delete"}
_PATH = {
    "contact": "network/contacts",
    "company": "network/companies",
    "link": "network/links",
    "project": "projects",
    "prospect": "prospects",
    "property": "properties",
}
_PROPERTY = (
    "externalRefs",
    "name",
    "description",
    "location",
    "categories",
    "price",
    "operatingCosts",
    "parcelArea",
    "tags",
    "tenure",
    "yearBuilt",
    "avgContractLengthYears",
)


class Views:
    """Reads the tables; writes nothing."""

    def __init__(self, switches: Switches, tables: Mapping[str, Table]) -> None:
        self.switches = switches
        self.tables = tables

    def of(self, record: Record) -> dict[str, Any]:
        """A record as the API gives it."""
        return {
            "id": str(record.id),
            **self._own(record),
            "createdUtc": self.time(record.created),
            "updatedUtc": self.time(record.updated),
            "deletedUtc": self.time(record.deleted) if record.deleted else None,
            "etag": record.etag,
            "changeType": _CHANGE[record.change],
            "changeOrigin": record.origin,
        }

    def time(self, at: datetime) -> str:
        """A time as the vendor writes it: 2026-05-18T20:22:36.9590000Z."""
        decimals = {7: f".{at.microsecond:06}0", 3: f".{at.microsecond // 1000:03}", 0: ""}
        return f"{at:%Y-%m-%dT%H:%M:%S}{decimals[self.switches.ps29]}Z"

    def links(self, end: str, key: str) -> list[Record]:
        """The living links with this `end` (contactId or companyId), the primary ones first."""
        found = self.tables["link"].members.get((end, key), {}).values()
        return sorted(
            (link for link in found if not link.deleted), key=lambda link: not link.fields["isPrimary"]
        )

    def _own(self, record: Record) -> dict[str, Any]:
        match record.category:
            case "contact":
                return self._contact(record)
            case "company":
                return self._company(record)
            case "project":
                return self._project(record)
            case "prospect":
                return self._prospect(record)
            case "property":
                return {"uri": uri(record), **_some(record, *_PROPERTY)}
            case _:
                return _some(record, "contactId", "companyId", "jobTitle")

    def _contact(self, record: Record) -> dict[str, Any]:
        f = record.fields
        companies = [*self._ends(record, "contactId", "companyId", "company")]
        return {
            "uri": uri(record),
            **_some(record, "externalRefs", "firstName", "lastName", "email", "phone", "linkedInUrl"),
            "emails": [{**entry, "isPrimary": entry["address"] == f["email"]} for entry in f["emails"]],
            "phones": [{**entry, "isPrimary": entry["number"] == f["phone"]} for entry in f["phones"]],
            **_some(record, "primaryLanguage", "tags", "strategy"),
            "primaryCompanyId": next((end["id"] for end in companies if end["isPrimary"]), None),
            "companies": companies,
            "profilePictureUrl": None,
        }

    def _company(self, record: Record) -> dict[str, Any]:
        return {
            "uri": uri(record),
            **_some(record, "externalRefs", "name", "countryCode", "domain", "homepageUrl"),
            "contacts": [*self._ends(record, "companyId", "contactId", "contact")],
            **_some(record, "linkedInUrl", "strategy", "tags"),
            "profilePictureUrl": None,
        }

    def _ends(self, record: Record, here: str, there: str, category: str) -> Iterator[dict[str, Any]]:
        names = ("name",) if category == "company" else ("firstName", "lastName", "email")
        for link in self.links(here, str(record.id)):
            end = self.tables[category].rows[int(link.fields[there])]
            if not end.deleted:
                yield {
                    "id": str(end.id),
                    "uri": uri(end),
                    **_some(end, *names),
                    "jobTitle": link.fields["jobTitle"],
                    "isPrimary": bool(link.fields["isPrimary"]),
                }

    def _project(self, record: Record) -> dict[str, Any]:
        f = record.fields
        stage = f["teaser_stage"]
        properties = self.tables["property"].members.get(("projectId", str(record.id)), {}).values()
        return {
            "uri": uri(record),
            **_some(record, "externalRefs", "name", "asset"),
            "status": "deleted" if record.deleted else f["status"],
            "classification": f["classification"],
            "teaser": None if stage is None else {"stage": stage, "title": f["name"], "isPreMarket": False},
            "exclusivity": f["exclusivity"],
            "mandate": f["exclusivity"],
            **_some(record, "price", "priceRange"),
            "properties": [
                {"id": str(one.id), "uri": uri(one), "name": one.fields["name"]}
                for one in properties
                if not one.deleted
            ],
        }

    def _prospect(self, record: Record) -> dict[str, Any]:
        """A teaser is there only when it went out to this investor; names come from the contact and company."""
        f = record.fields
        contact, company = self._named(record, "contact"), self._named(record, "company")
        return {
            "uri": uri(record),
            **_some(record, "projectId", "contactId", "companyId"),
            "displayName": f["displayName"] or contact or company,
            "organizationName": f["organizationName"] or company,
            "classification": f["classification"],
            "capabilities": [],
            "tags": f["tags"],
            **({} if f["teaser"] is None else {"teaser": f["teaser"]}),
            "externalRefs": f["externalRefs"],
        }

    def _named(self, prospect: Record, category: str) -> str | None:
        key = prospect.fields[f"{category}Id"]
        if key is None:
            return None
        fields = self.tables[category].rows[int(key)].fields
        if category == "company":
            return str(fields["name"])
        full = " ".join(name for name in (fields["firstName"], fields["lastName"]) if name)
        return full or fields["email"]


def uri(record: Record) -> str:
    """An opaque deep link."""
    return f"https://app.propstreet.com/{_PATH[record.category]}/{record.id}"


def _some(record: Record, *names: str) -> dict[str, Any]:
    return {name: record.fields[name] for name in names}
