"""An estate or project as Vitec keeps it, and the forms in which the v1 calls give it.

Sources: Vitec's description of GetEstateList, Get{Type}, GetProject and PUT CRM/Project; help pages
EstateTypeCriteria, Api_EstateStatus and NotificationsApi.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.sandbox.twins.vitec_connect.notifications import Standing
from daemon.sandbox.twins.vitec_connect.switches import Switches

LISTED = {
    "House": "houses",
    "HousingCooperative": "housingCooperativeses",
    "Cottage": "cottages",
    "Plot": "plots",
    "Project": "projects",
    "Farm": "farms",
    "CommercialProperty": "commercialPropertys",
    "Condominium": "condominiums",
    "ForeignProperty": "foreignProperties",
    "Premises": "premises",
}
"""Every kind in the order of EstateTypeCriteria's numbers, with its list in GetEstateList."""

KIND_OF_CRITERIA = {kind.lower(): kind for kind in LISTED}
DATES = ("None", "DateChanged", "ViewingDate", "SignatureDate", "AccessDate")


@dataclass(frozen=True, slots=True)
class Status:
    """One status on every surface: list name, notification name (None: never told), Swedish label."""

    name: str
    told: str | None
    label: str


# The place of each is its v1 number.
_STATUSES = (
    Status("Undefined", None, "Undefined"),  # no Swedish label was seen
    Status("AssignmentAttempt", "AssignmentAttempt", "Intagsförsök"),
    Status("AssignmentAccepted", "AssignmentAccepted", "Uppdrag"),
    Status("ForSale", "ForSale", "Till salu"),
    Status("Sold", "Sold", "Såld"),
    Status("Resting", "Paused", "Vilande"),
    Status("NoAssignment", "NoAssignment", "Inget uppdrag"),
    Status("AssignmentWithdrawn", "AssignmentWithdrawn", "Återtagen"),
    Status("ReservedNotForSale", "ReservedNotForSale", "Reserverad/Ej till salu"),
    Status("NotForSale", "NotForSale", "Ej till salu"),
    Status("SoldReferenceObject", "SoldReferenceObject", "Såld/Referensobjekt"),
    Status("Coming", "Coming", "Kommande"),
    Status("Advantage", "PreSale", "Försprång"),
    Status("Booked", None, "Bokad"),
    Status("Running", "Ongoing", "Pågående"),
    Status("Soldout", "SoldOut", "Slutsålt"),
    Status("SoonForSale", "SoonForSale", "Snart till salu"),
    Status("ReadyForRent", "ReadyForRent", "Hyresledig"),
    Status("TentativelyRented", "TentativelyRented", "Uthyrd preliminärt"),
    Status("Rented", "Rented", "Uthyrd"),
    Status("AppointedAdmission", "AppointedAdmission", "Tillträdd"),
    Status("SoldoutReferenceProject", None, "Slutsålt/Referensobjekt"),
    Status("ReservedNotForRental", None, "Reserverad/Uthyres ej"),
)
STATUSES = {status.name: status for status in _STATUSES}
WRITABLE = ("Coming", "Running", "Resting", "Soldout")
_ONLY_PROJECTS = {"Running", "Soldout", "SoldoutReferenceProject"}
_PROJECTS_HAVE = _ONLY_PROJECTS | {
    *("Undefined", "AssignmentAttempt", "AssignmentAccepted", "Resting", "NoAssignment", "Coming"),
}
_TOLD_OF_PROJECTS = {"Resting": "Paused", "Running": "Ongoing", "Soldout": "SoldOut", "Coming": "Upcoming"}

_LISTED_IDS = {status.name: str(number) for number, status in enumerate(_STATUSES)}
_CERTAIN = ("2", "3", "4", "10")  # the numbers that public clients confirm
_UNCERTAIN = {name: number for name, number in _LISTED_IDS.items() if number not in _CERTAIN}
_OTHER_IDS = _LISTED_IDS | dict(
    zip(_UNCERTAIN, [*list(_UNCERTAIN.values())[1:], next(iter(_UNCERTAIN.values()))], strict=True)
)

_LIMITS = {"streetAddress": 68, "zipCode": 15, "city": 25, "countryCode": 2}
_ADDRESS: dict[str, Any] = {
    **dict.fromkeys(("streetAddress", "zipCode", "city", "countryCode", "municipality", "area", "areaId")),
    **dict.fromkeys(("areaArchived", "county", "district", "districtCode", "countyMunicipalityParishCode")),
    **dict.fromkeys(("localIncomeTax", "parish")),
    "coordinate": {"longitud": None, "latitud": None},
}
_RANGE = {"minValue": None, "maxValue": None}
_BOTH: dict[str, Any] = {
    "officeId": None,
    "webbId": None,
    "assignment": {
        **dict.fromkeys(("responsibleBroker", "additionalContact", "estatenumber", "producer")),
        "marketingMethods": [],
    },
    "description": dict.fromkeys(
        (
            *(
                "sellPhrase",
                "generally",
                "sellingHeading",
                "shortSellingDescription",
                "longSellingDescription",
            ),
            *("wayDescription", "language", "other"),
        )
    ),
    "advertiseOn": {
        "homepage": True,
        "firstPublishingDateOnHomepage": None,
        **dict.fromkeys(
            (
                *("showAsComming", "showAsSoonForSale", "showTodaysHousing", "hidePrice", "hideAddress"),
                *("showInImageLoop", "showAsReferenceHousing", "showAsPreview"),
            ),
            False,
        ),
        "changingRequirementsText": None,
        "imageIds": [],
        "documents": [],
        "links": [],
        "marketplaces": [],
    },
    "internetSettings": {"isVerifiedBidding": False},
    "images": [],
    "customFields": [],
}
_ESTATE: dict[str, Any] = _BOTH | {
    "baseInformation": {
        "objectAddress": _ADDRESS,
        **dict.fromkeys(("propertyUnitDesignation", "areaSource", "areaSourceComment", "other", "keyNumber")),
        "projectId": None,
        "newConstruction": None,
    },
    "price": {"price": None, "priceText": None, "offer": False, "offerNoLaterThen": None},
    "commissionType": "Sale",
    "date": dict.fromkeys(
        (
            *("possibleAccessDate", "accessDate", "accessTime", "agreementDate", "assignmentDate"),
            "allTermsMettDate",
        )
    ),
}
_COMMERCIAL: dict[str, Any] = _ESTATE | {
    "baseInformation": _ESTATE["baseInformation"]
    | {"propertyType": None, "disposalForm": None, "sensitiveBusiness": False},
    "marketedAs": None,
    "companyTransfer": {"businessArrangement": None, "transferAsCompany": False},
}
_PROJECT: dict[str, Any] = _BOTH | {
    "baseInformation": {"projectName": None, "address": _ADDRESS},
    **dict.fromkeys(("numberOfObjects", "salesStartDate", "movingIn")),
    "priceRange": _RANGE,
    "livingSpaceRange": _RANGE,
    "numberOfRoomsRange": _RANGE,
    **{name: [] for name in ("houses", "housingCooperatives", "cottages", "plots", "condominiums")},
    "viewingSettings": None,
    "surrounding": None,
}
_BLANKS = dict.fromkeys(LISTED, _ESTATE) | {
    "Project": _PROJECT,
    "CommercialProperty": _COMMERCIAL,
    "Premises": _COMMERCIAL,
}


@dataclass(slots=True)
class Estate:
    """One estate or project. `fields` is the v1 record without what is kept elsewhere: ids, status, date, people.

    Its nested objects are replaced, never changed in place. Times are aware UTC, whole milliseconds.
    """

    id: str
    kind: str
    status: str
    changed_at: datetime
    fields: dict[str, Any]

    @property
    def address(self) -> dict[str, Any]:
        """The address, wherever this kind keeps it."""
        base: dict[str, Any] = self.fields["baseInformation"]
        found: dict[str, Any] = base["address" if self.kind == "Project" else "objectAddress"]
        return found

    @property
    def standing(self) -> Standing:
        """How the filter of a subscription sees it."""
        return Standing(told_status(self.kind, self.status), bool(self.fields["advertiseOn"]["homepage"]))


def crm_type(kind: str) -> str:
    """The kind as CRM answers spell it: Foreignproperty has a lower p there."""
    return "Foreignproperty" if kind == "ForeignProperty" else kind


def blank(kind: str) -> dict[str, Any]:
    """The fields of a new record. Raises KeyError for an unknown kind."""
    return copy.deepcopy(_BLANKS[kind])


def merged(kind: str, present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields after an edit: objects part by part, lists as a whole, a None object emptied.

    Raises KeyError for a field that this kind does not have, ValueError for too long an address.
    """
    return _merged(_BLANKS[kind], present, copy.deepcopy(dict(given)), kind)


def _merged(
    empty: Mapping[str, Any], present: Mapping[str, Any], given: Mapping[str, Any], where: str
) -> dict[str, Any]:
    if unknown := given.keys() - empty.keys():
        raise KeyError(f"{where} has no {', '.join(sorted(unknown))}")
    found = dict(present)
    for name, value in given.items():
        if isinstance(empty[name], dict):
            group = _merged(empty[name], present[name], value, f"{where}.{name}") if value else empty[name]
            found[name] = group
            continue
        if isinstance(value, str) and "coordinate" in empty and len(value) > _LIMITS.get(name, len(value)):
            raise ValueError(f"{where}.{name} takes at most {_LIMITS[name]} characters")
        found[name] = value
    return found


def known_status(kind: str, status: str) -> str:
    """The status itself. Raises ValueError for one that this kind cannot have."""
    fits = status in _PROJECTS_HAVE if kind == "Project" else status not in _ONLY_PROJECTS
    if status not in STATUSES or not fits:
        raise ValueError(f"a {kind} is never {status}")
    return status


def told_status(kind: str, status: str) -> str | None:
    """The name of a status in notifications, None when it has none there."""
    return _TOLD_OF_PROJECTS.get(status) if kind == "Project" else STATUSES[status].told


def status_read(status: str, switches: Switches) -> dict[str, str]:
    """A status as v1 gives it: a number as text, and the Swedish label (VS28)."""
    ids = _LISTED_IDS if switches.vs28 == "listed" else _OTHER_IDS
    return {"id": ids[status], "name": STATUSES[status].label}
