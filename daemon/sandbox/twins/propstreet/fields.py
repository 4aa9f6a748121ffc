"""What follows from a write: the primary of a list, a domain from a homepage, phones in E.164, one price."""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

import phonenumbers

from daemon.sandbox.twins.propstreet.checks import Fields
from daemon.sandbox.twins.propstreet.problems import Problem, invalid
from daemon.sandbox.twins.propstreet.schemas import SCALES

_ONE_REFERENCE_PER_NAMESPACE = frozenset({"project", "prospect", "property"})


def settled(category: str, present: Fields, given: Fields, *, merge_references: bool) -> Fields:
    """The fields after a write of `given` onto `present`, with what follows from them."""
    fields = {**present, **given}
    if "externalRefs" in given:
        before = present["externalRefs"] if merge_references else []
        fields["externalRefs"] = distinct([*before, *given["externalRefs"]])
        if category in _ONE_REFERENCE_PER_NAMESPACE:
            _refuse_repeated_namespaces(fields["externalRefs"])
    match category:
        case "contact":
            _settle_primary(fields, present, given, one="email", all_="emails", part="address")
            _settle_primary(fields, present, given, one="phone", all_="phones", part="number")
        case "company":
            _settle_domain(fields, given)
        case "project":
            _settle_exclusivity(fields, given)
            _check_price(fields)
    return fields


def _settle_primary(
    fields: Fields, present: Fields, given: Fields, *, one: str, all_: str, part: str
) -> None:
    """Keep the primary value and the list in step; without a primary the first entry becomes it."""
    if all_ in given and one not in given:
        fields[one] = fields[all_][0][part] if fields[all_] else None
        return
    if one not in given or (fields[one] == present[one] and all_ not in given):
        return
    value, old = fields[one], present[one]
    entries = fields[all_]
    if all_ in given:
        if value is not None and all(entry[part] != value for entry in entries):
            fields[all_] = [{part: value, "type": None}, *entries]
        return
    kinds = {entry[part]: entry["type"] for entry in entries}
    rest = [entry for entry in entries if entry[part] not in (old, value)]
    first = [] if value is None else [{part: value, "type": kinds.get(value, kinds.get(old))}]
    fields[all_] = [*first, *rest]


def _settle_domain(fields: Fields, given: Fields) -> None:
    """A homepage decides the domain; a domain alone is kept lower case and without www (model Company)."""
    if given.get("homepageUrl"):
        fields["domain"] = domain_of(given["homepageUrl"])
    elif given.get("domain"):
        fields["domain"] = given["domain"].lower().removeprefix("www.")
    elif "homepageUrl" in given:
        fields["domain"] = None


def _settle_exclusivity(fields: Fields, given: Fields) -> None:
    """`mandate` is the old name of `exclusivity`; both at once are refused (ref POST and PATCH projects)."""
    mandate = fields.pop("mandate", None)
    if mandate is not None and given.get("exclusivity") is not None:
        raise Problem(422, "Only one of mandate and exclusivity can be set.")
    if "mandate" in given and given.get("exclusivity") is None:
        fields["exclusivity"] = mandate


def _check_price(fields: Fields) -> None:
    """A price range holds the price, and an asset counts its properties only as a portfolio."""
    asset, price, between = fields["asset"], fields["price"], fields["priceRange"]
    if asset and asset["type"] == "single" and asset["propertyCount"] is not None:
        raise invalid(asset="The asset field has a propertyCount only as a portfolio.")
    if price and between:
        amount, scale = price["value"] * SCALES[price["scale"]], SCALES[between["scale"]]
        below = between["min"] is not None and amount < between["min"] * scale
        above = between["max"] is not None and amount > between["max"] * scale
        if below or above or price["currency"] != between["currency"]:
            raise invalid(priceRange="The priceRange field must contain the price.")


def domain_of(url: str) -> str | None:
    """The domain of an address, lower case and without www; None when it has none."""
    try:
        host = urlsplit(url if "://" in url else f"https://{url}").hostname
    except ValueError:
        return None
    return host.lower().removeprefix("www.") or None if host else None


def with_normal_phones(given: Fields) -> Fields:
    """The same fields, phone numbers in E.164 where that is possible, else as sent (upsert page)."""
    fields = dict(given)
    if fields.get("phone"):
        fields["phone"] = e164(fields["phone"])
    if fields.get("phones"):
        fields["phones"] = [{**entry, "number": e164(entry["number"])} for entry in fields["phones"]]
    return fields


@lru_cache(maxsize=10_000)
def e164(number: str) -> str:
    """A phone number as +46701234567, Swedish unless it says otherwise; as sent when it is unreadable."""
    try:
        parsed = phonenumbers.parse(number, "SE")
    except phonenumbers.NumberParseException:
        return number
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def reference_key(namespace: str, key: str) -> tuple[str, str]:
    """What makes a reference unique: the namespace ignores case, the id does not (model ExternalRef)."""
    return namespace.casefold(), key


def distinct(references: list[Fields]) -> list[Fields]:
    """References without repetition, the first spelling kept."""
    found: dict[tuple[str, str], Fields] = {}
    for reference in references:
        found.setdefault(reference_key(reference["namespace"], reference["id"]), reference)
    return list(found.values())


def _refuse_repeated_namespaces(references: Sequence[Fields]) -> None:
    namespaces = {reference["namespace"].casefold() for reference in references}
    if len(namespaces) < len(references):
        raise invalid(externalRefs="The externalRefs field holds a namespace twice.")
