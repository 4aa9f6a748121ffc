"""The twin itself: one installation's departments, employees and estates, and the hands of its users."""

import copy
import random
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.journal import Entry, Journal, content
from daemon.sandbox.twins.vitec_hub.api import Api

Record = dict[str, Any]

DEPARTMENT = (
    "departmentNumber",
    "marketName",
    "name",
    "legalName",
    "email",
    "phone",
    "streetAddress",
    "postalCode",
    "city",
    "webPublish",
    "aboutDepartment",
)
EMPLOYEE = (
    "departmentId",
    "name",
    "email",
    "title",
    "mobilePhone",
    "workPhone",
    "employeePositions",
    "employeeActive",
    "aboutMe",
)
ESTATE = (
    "streetAdress",  # the vendor's spelling
    "zipCode",
    "city",
    "assignmentNum",
    "estateBaseType",
    "brokersIdWithRoles",
    "projectUnits",
)
RELATION_TYPES = (0, 1)  # viewing participants, interested; no other is known


class VitecHubTwin:
    """A stand-in for the Hub, with the API on `app` and the broker's hands as plain methods.

    `functions` are those open to the login: a call of any other is 403. Their names are the twin's own.
    `retry_after` is what a planned 429 asks for, in seconds. `faults` and these may be turned at any time;
    `journal` keeps what users did and counts reads. `clock` gives aware times.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        installation: str = "MSPROATEST",
        username: str = "toveis",
        password: str = "twin-password",
    ) -> None:
        self.clock = clock
        self.installation, self.username, self.password = installation, username, password
        self.functions = ["Departments", "Employees", "Estates", "ContactRelations"]
        self.retry_after = 1
        self.journal = Journal()
        self.departments: dict[str, Record] = {}
        self.employees: dict[str, Record] = {}
        self._estates: dict[str, Record] = {}
        self._relations: dict[tuple[str, int], list[Record]] = {}
        self._random = random.Random(seed)
        self._api = Api(self)
        self.faults = Faults(seed=seed, failure=self._api.failure)

    @property
    def app(self) -> web.Application:
        """A fresh application over the same records: it may be served, stopped and served again."""
        return self._api.application()

    # --- the user side

    def create_department(self, **fields: Any) -> int:
        """A new office; returns its number. Raises KeyError for a field that no public client shows."""
        number = len(self.departments) + 1
        self.departments[str(number)] = {"departmentId": number} | _filled(DEPARTMENT, fields)
        return number

    def create_employee(self, employee_id: str, **fields: Any) -> None:
        """A new broker. Raises as `create_department`."""
        self.employees[employee_id] = {"employeeId": employee_id} | _filled(EMPLOYEE, fields)

    def create_estate(self, **fields: Any) -> str:
        """A user enters an estate; returns its GUID in upper case. Raises as `create_department`."""
        estate_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4)).upper()
        blank: Record = {"estateBaseType": 0, "brokersIdWithRoles": [], "projectUnits": []}
        estate = {"estateId": estate_id, "changedDate": self._now()} | _filled(ESTATE, blank | fields)
        self._estates[estate_id] = estate
        self._note(estate_id, None, estate)
        return estate_id

    def edit_estate(self, estate_id: str, **fields: Any) -> None:
        """A user changes some fields; an edit that changes nothing moves no date. Raises KeyError."""
        before = self._estates[estate_id]
        after = before | _known(ESTATE, fields)
        if after != before:
            after["changedDate"] = self._now()
        self._estates[estate_id] = after
        self._note(estate_id, before, after)

    def remove_estate(self, estate_id: str) -> None:
        """A user deletes an estate: it is in no list any more, and reading it gives 404. Raises KeyError."""
        self._note(estate_id, self._estates.pop(estate_id), None)
        for relation_type in RELATION_TYPES:
            self._relations.pop((estate_id, relation_type), None)

    def relate(self, estate_id: str, contact: Mapping[str, Any], relation_type: int) -> None:
        """A person comes to a viewing (0) or is interested (1); `contact` is given back as it stands.

        Which fields such a row has is unknown, and so is whether it moves the estate's date: it does not.
        Raises KeyError for an unknown estate, ValueError for another relation type.
        """
        if relation_type not in RELATION_TYPES:
            raise ValueError("only the relation types 0 and 1 are known")
        if estate_id not in self._estates:
            raise KeyError(estate_id)
        self._relations.setdefault((estate_id, relation_type), []).append(copy.deepcopy(dict(contact)))

    def estates(self) -> list[Record]:
        """Every estate with all that the twin keeps of it, oldest first."""
        return copy.deepcopy(list(self._estates.values()))

    def estate(self, estate_id: str) -> Record | None:
        """One estate by its id, letter for letter; None when it is not there."""
        return copy.deepcopy(self._estates.get(estate_id))

    def related(self, estate_id: str, relation_type: int) -> list[Record]:
        """Who stands in this relation to the estate, oldest first."""
        return copy.deepcopy(self._relations.get((estate_id, relation_type), []))

    # --- inside

    def _now(self) -> str:
        """The vendor's format of times is unknown; this is ISO 8601 in UTC."""
        return self.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _note(self, estate_id: str, before: Record | None, after: Record | None) -> None:
        method = "POST" if before is None else "DELETE" if after is None else "PUT"
        was, became = content(before, ["changedDate"]), content(after, ["changedDate"])
        self.journal.append(
            Entry(
                self.clock(),
                "person",
                "write",
                method,
                "Estates",
                "estate",
                estate_id,
                200,
                changed=was != became,
                before=was,
                after=became,
            )
        )


def _known(names: Collection[str], fields: Mapping[str, Any]) -> Record:
    if strange := sorted(fields.keys() - set(names)):
        raise KeyError(", ".join(strange))
    return copy.deepcopy(dict(fields))


def _filled(names: Collection[str], fields: Mapping[str, Any]) -> Record:
    return dict.fromkeys(names) | _known(names, fields)
