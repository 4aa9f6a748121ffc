"""What the vendor's sources leave open, one field a point; each default is the likelier reading."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Switches:
    """How this twin decides the open points; change a field at any time, also while it runs.

    PS16 (order of deliveries) is `twin.faults.delivery`; PS23 is the parameter `revive`; PS31 (pictures) has no
    alternative; the files of PS28 are not there at all.
    """

    ps1: Literal["type", "event"] = "type"  # key of the event's name in a webhook
    ps2: Literal["whole", "thin"] = "whole"  # a webhook's data: the resource, or its id only
    ps3: Literal[412, 409] = 412  # answer to a stale If-Match
    ps4: Literal["conflict", "existing"] = (
        "conflict"  # POST of a known reference or e-mail: 409, or 200 with it
    )
    ps5: Literal["ignored", "accepted", "400"] = "ignored"  # classification in PATCH of a project
    ps6: Literal["data", "top", "deleted"] = (
        "data"  # a removed prospect: prospect.updated with `action` in data or beside it; prospect.deleted
    )
    ps7: Literal["optional", "required"] = "optional"  # If-Match on PATCH of a link; required: 428 without
    ps8: Literal["plain", "network"] = "plain"  # find-duplicates at /companies or at /network/companies
    ps9: Literal["page", "top"] = "page"  # where nextCursor, pageSize and hasMore stand
    ps10: Literal["number", "string"] = "number"  # how whole numbers are written
    ps11: bool = True  # a client's own changes come back as webhooks
    ps12: tuple[float, ...] = (5, 300, 1800, 7200, 14400, 21600, 36000, 44640)  # seconds between attempts
    ps12_jitter: float = 0.0  # each gap varies by this share, up and down
    ps13: Literal["attempts", "deliveries"] = "attempts"  # of what ten failed in a row disable a webhook
    ps14: Literal["patch", "put", "anew"] = "patch"  # how a webhook is enabled again; anew: not at all
    ps15: Literal["one", "two", "unknown_first"] = "one"  # entries in the signature header
    ps17: Literal["409", "422", "ignored"] = "409"  # a known Idempotency-Key with another body
    ps18: bool = True  # Idempotency-Key is honoured on contacts and companies
    ps19: Literal["replace", "merge"] = "replace"  # externalRefs in PATCH of a contact or company
    ps20: Literal["all", "upsert"] = "all"  # which writes bring phones to E.164
    ps21: Literal["update_only", "create_only"] = "update_only"  # what create_only=true means in an upsert
    ps22: bool = False  # companies have the upsert, too
    ps24: Literal["409", "existing"] = "409"  # the same contact again as a prospect: 409, or 200 with it
    ps25: Literal["listed", "hidden"] = "listed"  # deleted records in lists with include_deleted
    ps26: Literal["minute", "three", "sliding", "pat"] = (
        "minute"  # 600/min; + 20/s, 10,800/h; sliding; 60/min
    )
    ps27: int | None = 3600  # life of a token, seconds; None: no expires_in (and an hour)
    ps28: Literal[10_000, 50_000] = 10_000  # longest note, characters
    ps29: Literal[7, 3, 0] = 7  # decimals of a time's seconds
    ps30: bool = True  # DELETE of records is there
    ps32: Literal["400", "restart"] = "400"  # an invalid or old cursor
    ps33: Literal["400", "expanded"] = "400"  # "contact.*" on registration of a webhook
    ps34: Literal["400", "accepted"] = "400"  # more than 100 tags
    deleted_read: Literal["missing", "record"] = (
        "missing"  # GET by id of a deleted record: 404, or with deletedUtc
    )
