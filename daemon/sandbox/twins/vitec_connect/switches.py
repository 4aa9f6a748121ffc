"""Where Vitec's word is missing or disagrees with itself, a switch says what the twin does."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["new", "old"]
Transport = Literal["both", "query", "body", "broken"]


@dataclass(slots=True)
class Switches:
    """One field per open point of the vendor contract; the defaults are the contract's.

    They may be turned while the twin runs. Loss and order of notifications (VS3) and request faults (VS36)
    are not here: they are ordered from the twin's `faults`. VS7 is a way to `subscribe`.
    """

    vs1: Form = "new"  # notification form; old: subType, EstateContactSpeculator, Agent, no tenant or chain
    vs2: Transport = "both"  # notification in the query string and the body, one of them, or a broken body
    vs4: Literal["lost", "retried"] = "lost"  # receiver answered 5xx; silence over 2 s and 3xx, 4xx stay lost
    vs5: Literal["echo", "none", "twice"] = "echo"  # an Update after a write through the API
    vs6: Literal["silence", "remove"] = "silence"  # an estate leaves the statuses that a subscription covers
    vs8: Literal["kept", "cleared"] = "kept"  # fields that an update leaves out or sends as null
    vs9: Literal["kept", "cleared"] = "kept"  # fields sent as empty text; names are always kept
    vs10: Literal["kept", "cleared"] = "kept"  # parts left out of a sent email or address
    vs11: Literal["add", "replace"] = "add"  # categoryIds
    vs12: Literal["updated", "untouched"] = "updated"  # the contact that was matched by name and channel
    vs13: Literal["create", "always"] = "create"  # when a person must have an email or a phone
    vs14: Literal["creates", "404", "400"] = "creates"  # PUT Speculator where there is no relation
    vs15: Literal["kept", "interested", "409"] = (
        "kept"  # level after SendInterest… on a relation that is there
    )
    vs16: Literal["Interested", "BeenAtOrComingToViewing", "none"] = (
        "Interested"  # level after a first SendInterest…
    )
    vs17: Literal["lead_id", "contact_id"] = "lead_id"  # what FinalPriceWatched answers
    vs18: Literal["not_interested", "both", "neither"] = (
        "not_interested"  # which of NotInterested and Archived stand in interests[]
    )
    vs19: Literal["null", "left_out"] = "null"  # empty fields in CRM answers
    vs20: Literal["model_state", "message", "empty", "html"] = (
        "model_state"  # error body; html turns 400 to 500
    )
    vs21: Literal["404", "204", "null", "left_out"] = (
        "404"  # unknown contact; all but 404 leave it out of a batch
    )
    vs22: Literal["400", "cut"] = "400"  # text over its limit
    vs23: Literal["wall_clock", "offset"] = "wall_clock"  # offset: seven decimals and the offset
    vs24: Literal["both", "plain", "dotted"] = (
        "both"  # changedAtFrom, criteria.changedAtFrom; the other is ignored
    )
    vs25: Literal["name_or_number", "name"] = "name_or_number"  # enums on input
    vs26: Literal["400", "first_20", "accepted"] = (
        "400"  # over 20 ids; over 5 in the path is fine in the last two
    )
    vs27: int | None = None  # rows a list is cut to without a sign, 1000 if ever; None = unlimited
    vs28: Literal["listed", "other"] = "listed"  # numbers of the v1 statuses; 2, 3, 4 and 10 are always so
    vs29: Literal["projectId", "either"] = "projectId"  # GetProject by estateId too
    vs30: Literal["none", "seconds", "date"] = "none"  # 20/s, 600/min, 10,800/h; form of Retry-After
    vs31: bool = False  # the customer has closed: 403 to everything
    vs32: Literal["one_pair", "pair_per_group"] = "one_pair"  # wrong group: 401
    vs33: Literal["lead_id", "204"] = "lead_id"  # answer of lead POSTs
    vs34: Literal["merge", "remove_and_update"] = "merge"  # how a merge is told
    vs35: Literal["customer", "office"] = "customer"  # id of an Office notification: M... or FIR...
    vs37: bool = False  # a contact's changedAt moves with its speculator level
    vs38: Literal["never", "possible"] = (
        "never"  # level null in speculatorOn; never: a relation without one is not listed
    )
    vs39: Literal["empty", "SE"] = "empty"  # countryCode that was never set, as read back
    vs40: Literal["digits", "exact"] = "digits"  # how GetContactsWithPhonenumber compares
    forms: Literal["as_typed", "own"] = (
        "as_typed"  # own: blanks squeezed, numbers in national form, e-mails in small letters, no http://
    )
