"""Values of our own fields, and the form in which they are compared.

A value is text, a set of texts (tags) or None. Two values *mean the same* when their normal forms are
equal (G3): only then is nothing written. Every function here is total: no text, however odd, makes one raise.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import phonenumbers

Value = str | tuple[str, ...] | None

UNMAPPED = "unmapped:"
"""Begins the value of a field for a vendor's word that the tables do not carry over (G12): it is shown, never sent."""

# Hosts that many unrelated people share: a domain among them identifies nobody (W10).
SHARED_HOSTS = frozenset(
    {
        *("gmail.com", "googlemail.com", "outlook.com", "live.com", "live.se", "live.no"),
        *("hotmail.com", "hotmail.se", "hotmail.no", "icloud.com", "me.com", "msn.com", "yahoo.com"),
        *("yahoo.se", "yahoo.no", "proton.me", "protonmail.com", "telia.com", "comhem.se", "online.no"),
        *("facebook.com", "instagram.com", "linkedin.com", "google.com", "sites.google.com", "youtube.com"),
        *("hitta.se", "eniro.se", "allabolag.se", "proff.no", "proff.se", "gulesider.no"),
    }
)

_BEFORE_HOST = re.compile(r"^(?:\s|https?://|//|www\.)+", re.IGNORECASE)
_AFTER_PATH = re.compile(r"[\s/]+$")
_HOST = re.compile(r"[^/?#]*")
_HOST_LENGTH = 253
_PRICE = re.compile(r"(\S+)(?:\s+([A-Za-z]+))?")
_DIGITS = 18
"""More digits than any price or coordinate has; beyond them a number is no longer one."""


def normal(field: str, value: Value, region: str = "SE") -> Value:
    """Give the class of a value: what is left of it when spelling that carries no meaning is taken away.

    Blank text is None, but a blank country is "SE" (Vitec may leave the code out for Sweden, B3) and no
    tags are (). `region` is the country in which national phone numbers are read (ISO 3166-1 alpha-2, C21).
    An organisation number counts by its digits (B2), unless it has letters: then it is foreign and counts
    as written.
    """
    if field == "tags":
        return _tags(value)
    if isinstance(value, tuple):
        return tuple(sorted(value))
    text = _plain(value) if value else ""
    if not text:
        return "SE" if field == "country" else None
    match field:
        case "email":
            user, at, host = _folded(text).rpartition("@")
            return _folded(user + at + _in_letters(host))
        case "phone":
            return _dialled(text, region) or text
        case "organisation_number":
            return _number(text)
        case "country":
            return text.upper()
        case "website":
            return _address(text)
        case "strategy" | "text":
            return text.replace("\r\n", "\n").replace("\r", "\n")
        case "price":
            return price_of(text) or text
        case "location":
            return location_of(*text.split(",")) or text
    return text


def same(field: str, a: Value, b: Value, region: str = "SE") -> bool:
    """Tell whether two values of a field mean the same (G3). This is an equivalence."""
    return a == b or normal(field, a, region) == normal(field, b, region)


def blank(value: Value) -> bool:
    """Tell whether a value says nothing: None, no tags, or text of white space only."""
    return not value or (isinstance(value, str) and value.isspace())


def e164(text: str, region: str = "SE") -> str | None:
    """Give a phone number as +46701234567, or None when it is no possible number or has an extension.

    `region` is where a national number is read. An extension has no place in E.164, and must not get lost.
    """
    form = _dialled(_plain(text), region)
    return form if form and ";" not in form else None


def domain_of(website: Value) -> str | None:
    """Give the host of a website in lower case without www. and port (W4), or None when there is none."""
    address = normal("website", website)
    if not isinstance(address, str):
        return None
    host = _host(address).partition(":")[0]
    return host if "." in host.strip(".") and "@" not in host and not any(map(str.isspace, host)) else None


def number(text: str) -> Decimal | None:
    """Give a number, or None for what is none or has more than 18 digits before or behind the point."""
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > _DIGITS or abs(found.adjusted()) > _DIGITS:
        return None
    return found


def plain_number(value: Decimal) -> str:
    """Give a number in plain digits: no exponent, no zeros behind, no minus before zero."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def price_of(text: str) -> str | None:
    """Give a price such as "12500000 SEK" in its canonical form, or None when it is none (E6)."""
    found = _PRICE.fullmatch(text.strip())
    amount = number(found[1]) if found else None
    if found is None or amount is None:
        return None
    return " ".join(part for part in (plain_number(amount), (found[2] or "").upper()) if part)


def location_of(*degrees: str) -> str | None:
    """Give "latitude,longitude" (WGS 84, degrees, to a tenth of a metre), or None when it is no place on earth."""
    found = [number(text) for text in degrees]
    match found:
        case [Decimal() as latitude, Decimal() as longitude] if abs(latitude) <= 90 and abs(longitude) <= 180:
            return f"{plain_number(round(latitude, 6))},{plain_number(round(longitude, 6))}"
    return None


def match_keys(category: str, fields: Mapping[str, Value], region: str = "SE") -> tuple[str, ...]:
    """Give the keys under which a record is looked for at the other vendor, the strongest first (section 8).

    Contacts: "email:anna@example.se", "name_phone:anna berg|+46701234567".
    Companies: "orgno:5566778899", "domain:example.se" (from `website`, else a field `domain`; W5),
    and "name:fjord eiendom as", which is never enough to link.
    Every other category is joined by its parts and has none: ().
    Placeholders such as "-" or "000000-0000", free-mail hosts and phones that cannot be dialled give no key.
    """
    match category:
        case "contact":
            keys = _contact_keys(fields, region)
        case "company":
            keys = _company_keys(fields)
        case _:
            return ()
    return tuple(f"{kind}:{key}" for kind, key in keys if key)


def _contact_keys(fields: Mapping[str, Value], region: str) -> tuple[tuple[str, str | None], ...]:
    email = _text_of("email", fields)
    phone = fields.get("phone")
    dialled = e164(phone, region) if isinstance(phone, str) else None
    names = (_text_of(field, fields) for field in ("first_name", "last_name"))
    name = _folded(" ".join(" ".join(name for name in names if name).split()))
    return (
        ("email", email if email and "@" in email else None),
        ("name_phone", f"{name}|{dialled}" if name and dialled else None),
    )


def _company_keys(fields: Mapping[str, Value]) -> tuple[tuple[str, str | None], ...]:
    number = _text_of("organisation_number", fields)
    telling = {sign for sign in number or "" if sign.isalnum()}
    domain = domain_of(fields.get("website")) or domain_of(fields.get("domain"))
    name = " ".join((_text_of("name", fields) or "").split())
    return (
        ("orgno", number if number and len(number) >= 6 and len(telling) > 1 else None),
        ("domain", domain if domain not in SHARED_HOSTS else None),
        ("name", _folded(name) if len(name) > 2 else None),
    )


def _text_of(field: str, fields: Mapping[str, Value]) -> str | None:
    value = normal(field, fields.get(field))
    return value if isinstance(value, str) else None


def _plain(text: str) -> str:
    """Trim; composed and decomposed letters (Å) are the same letter."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _tags(value: Value) -> tuple[str, ...]:
    tags = (value,) if isinstance(value, str) else value or ()
    return tuple(sorted({plain for tag in tags if (plain := _plain(tag))}))


def _number(text: str) -> str | None:
    if any(map(str.isalpha, text)):
        return text
    return "".join(filter(str.isdecimal, text)) or None


def _address(text: str) -> str | None:
    """Leave out scheme, www. and trailing slash (W9); only the host is without case."""
    rest = _AFTER_PATH.sub("", _BEFORE_HOST.sub("", text))
    host = _host(rest)
    return (_in_letters(host).lower() + rest[len(host) :]) or None


def _host(address: str) -> str:
    found = _HOST.match(address)
    return found[0] if found else ""


def _in_letters(host: str) -> str:
    """A host as people write it: xn--… is how the network spells a name with other letters than a to z (W11)."""
    coded = host.lower()
    if "xn--" not in coded or len(coded) > _HOST_LENGTH:
        return host
    try:
        return coded.encode("ascii").decode("idna")
    except UnicodeError:
        return host


@lru_cache(maxsize=1 << 16)
def _dialled(text: str, region: str) -> str | None:
    """E.164, `;ext=` behind it for an extension; None for what cannot be dialled. Cached: it takes 60 µs."""
    try:
        number = phonenumbers.parse(text, region)
        if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
            return None
        form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        again = phonenumbers.format_number(phonenumbers.parse(form), phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        return None
    if again != form:  # a trunk zero too many: not a number that both sides would read alike
        return None
    return f"{form};ext={number.extension}" if number.extension else form
