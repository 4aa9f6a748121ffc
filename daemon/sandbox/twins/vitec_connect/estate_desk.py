"""The desk for estates and projects: a user's hands, the v1 forms, and what PUT CRM/Project does."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from daemon.sandbox.twins.vitec_connect import estates
from daemon.sandbox.twins.vitec_connect.contacts import render, wall_clock, without_nulls
from daemon.sandbox.twins.vitec_connect.estates import STATUSES, WRITABLE, Estate, status_read
from daemon.sandbox.twins.vitec_connect.notifications import Event, Notification, Standing
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_ESTATE, Change, Office
from daemon.sandbox.twins.vitec_connect.relations import Viewing, is_listed
from daemon.sandbox.twins.vitec_connect.writing import FIELDS, Field, RefusedError, read_fields, refuse

_ADDRESS = ("streetAddress", "zipCode", "city", "countryCode")
# What PUT CRM/Project takes; the path is where it stands in the v1 record.
_PROJECT = {
    "baseInformation.status": Field("", holds=(str, int), choices=WRITABLE),
    "baseInformation.projectName": Field("baseInformation.projectName"),
    "baseInformation.saleStart": Field("salesStartDate"),
    "baseInformation.preliminaryAccess": Field("movingIn"),
    "baseInformation.producer": Field("assignment.producer"),
    "sellingHeading": Field("description.sellingHeading"),
    "longSellingDescription": Field("description.longSellingDescription"),
} | {
    f"baseInformation.address.{part}": Field(
        f"baseInformation.address.{part}", rule.limit, rule.label, rule.holds
    )
    for part in _ADDRESS
    for rule in [FIELDS["person"][f"address.{part}"]]
}


class EstateDesk(Office):
    """Estates of every type and projects. A change of interest or party never moves their dateChanged."""

    # --- the user side

    def create_estate(self, kind: str, *, status: str | None = None, **fields: Any) -> str:
        """A user enters an estate or a "Project"; nested v1 names, `status` by its list name.

        Without a status an estate is ForSale and a project Running; either is marketed unless
        `advertiseOn={"homepage": False}`. Returns the id. Raises KeyError for an unknown kind or field,
        ValueError for a status that this kind cannot have or too long an address.
        """
        found = estates.merged(kind, estates.blank(kind), fields)
        project = kind == "Project"
        state = estates.known_status(kind, status or ("Running" if project else "ForSale"))
        estate = Estate(self.new_estate_id("PRO" if project else "OBJ"), kind, state, self.now(), found)
        self.register[estate.id] = estate
        self.journal_person(Change("project", estate.id, None, self._shown(estate), changed=True))
        self._tell_estate("Update", estate, None)
        return estate.id

    def edit_estate(self, estate_id: str, *, status: str | None = None, **fields: Any) -> None:
        """A user changes some fields; objects are merged into the present, lists replaced.

        An edit that changes nothing moves no date and tells nobody. Raises as `create_estate`.
        """
        estate = self.register[estate_id]
        state = estates.known_status(estate.kind, status or estate.status)
        was = estate.standing
        change = self._put_estate(estate, state, estates.merged(estate.kind, estate.fields, fields))
        self.journal_person(change)
        if change.changed:
            estate.changed_at = self.now()
            self._tell_estate("Update", estate, was)

    def unpublish_estate(self, estate_id: str) -> None:
        """A user takes an estate off the home page; it stays in v1's lists."""
        self.edit_estate(estate_id, advertiseOn={"homepage": False})

    def remove_estate(self, estate_id: str) -> None:
        """A user deletes an estate with all relations to it: it is in no list any more, and Remove is told."""
        estate = self.register.pop(estate_id)
        self.journal_person(Change("project", estate_id, self._shown(estate), None, changed=True))
        for ties in self.ties_to_estates():
            ties.forget(estate_id)
        self.viewings.pop(estate_id, None)
        self.bids.pop(estate_id, None)
        told = Notification(*self._told_as(estate, "Remove"))
        self.notifier.publish_estate(told, estate.standing, None)

    def estate(self, estate_id: str) -> dict[str, Any]:
        """The v1 record, as Get{Type} or GetProject would give it. Raises KeyError when gone."""
        return self.estate_form(self.register[estate_id])

    def estates(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Every v1 record, of one kind or of all, oldest first."""
        return [self.estate_form(e) for e in self.register.values() if kind in (None, e.kind)]

    # --- what the API does

    def estate_form(self, estate: Estate, *, since: datetime | None = None) -> dict[str, Any]:
        """The full v1 record; `since` leaves out the viewings that began before it."""
        form = {
            "estateId": estate.id,
            "customerId": self.customer_id,
            "dateChanged": render(estate.changed_at, self.switches),
            **estate.fields,
            "interests": [
                contact
                for contact, interest in self.interests.of_left(estate.id).items()
                if is_listed(interest, self.switches.vs18)
            ],
            "viewings": [
                _viewing(v) for v in self.viewings.get(estate.id, ()) if since is None or v.starts_at >= since
            ],
        }
        form["assignment"] = estate.fields["assignment"] | {
            "status": status_read(estate.status, self.switches)
        }
        if estate.kind == "Premises":
            form |= {"owners": [], "tenants": []}
        else:
            form["buyers"] = list(self.parties["Buyer"].of_left(estate.id))
        if estate.kind not in ("Premises", "Project"):
            form["sellers"] = list(self.parties["Seller"].of_left(estate.id))
        if estate.kind != "Project":
            form["bids"] = [
                {
                    "id": bid.id,
                    "alias": f"Budgivare {place}",
                    "amount": bid.amount,
                    "dateAndTime": render(bid.at, self.switches),
                    "cancelled": False,
                    "status": None,
                }
                for place, bid in enumerate(self.bids.get(estate.id, ()), 1)
            ]
        return without_nulls(form) if self.switches.vs19 == "left_out" else form

    def update_project(self, project_id: str, body: object) -> Change:
        """PUT CRM/Project: what is left out or null is kept. Raises RefusedError."""
        project = self.register.get(project_id)
        if project is None or project.kind != "Project":
            raise RefusedError(404, UNKNOWN_ESTATE)
        values, complaints = read_fields(
            body if isinstance(body, dict) else {}, _PROJECT, self.switches, "project"
        )
        refuse(complaints)
        sent = {
            _PROJECT[n].path: value for n, value in values.items() if _PROJECT[n].path and value is not None
        }
        status = values.get("baseInformation.status") or project.status
        was = project.standing
        change = self._put_estate(
            project, status, estates.merged("Project", project.fields, _nested(sent.items()))
        )
        project.changed_at = self.now()
        for _ in range(self.echoes()):
            self._tell_estate("Update", project, was)
        return change

    def known_estate(self, estate_id: str, status: int) -> Estate:
        """The estate of this id. Raises RefusedError with the status that the call gives for none."""
        estate = self.register.get(estate_id)
        if estate is None:
            raise RefusedError(status, UNKNOWN_ESTATE)
        return estate

    # --- inside

    def _put_estate(self, estate: Estate, status: str, fields: dict[str, Any]) -> Change:
        before = self._shown(estate)
        changed = (status, fields) != (estate.status, estate.fields)
        estate.status, estate.fields = status, fields
        return Change("project", estate.id, before, self._shown(estate), changed)

    def _shown(self, estate: Estate) -> dict[str, Any]:
        # Nested objects are replaced and never changed in place, so the journal may keep them as they are.
        return {"kind": estate.kind, "status": estate.status, **estate.fields}

    def _told_as(self, estate: Estate, event: Event) -> tuple[str, Event, str, str | None]:
        if estate.kind == "Project":
            return "Project", event, estate.id, None
        return "Estate", event, estate.id, estate.kind

    def _tell_estate(self, event: Event, estate: Estate, was: Standing | None) -> None:
        status = estate.standing.status
        data = None if status is None else {"status": status}
        told = Notification(*self._told_as(estate, event), data=data)
        self.notifier.publish_estate(told, was, estate.standing)

    def statuses(self) -> list[dict[str, str]]:
        """What GetStatuses answers (VS28)."""
        return [status_read(status, self.switches) for status in STATUSES]


def _viewing(viewing: Viewing) -> dict[str, Any]:
    starts = wall_clock(viewing.starts_at)
    return {
        "id": viewing.id,
        "date": f"{starts[:10]}T00:00:00",
        "startTime": starts,
        "endTime": wall_clock(viewing.ends_at),
        "commentary": None,
        "bookableFromInternet": False,
        "bookingUrl": None,
        "showOnInternet": True,
        "participants": list(viewing.participants),
    }


def _nested(paths: Iterable[tuple[str, Any]]) -> Mapping[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    found: dict[str, Any] = {}
    for path, value in paths:
        *groups, last = path.split(".")
        inner = found
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return found
