"""The mappings: one module per vendor and category. `lens` finds the one for a record."""

from typing import Any

from daemon.mappings.lens import Lens
from daemon.mappings.propstreet_company import PropstreetCompany
from daemon.mappings.propstreet_contact import PropstreetContact
from daemon.mappings.vitec_company import VitecCompany
from daemon.mappings.vitec_person import VitecPerson

LENSES: tuple[Lens[Any], ...] = (VitecPerson(), VitecCompany(), PropstreetContact(), PropstreetCompany())

_BY_NAME = {(lens.vendor, lens.category): lens for lens in LENSES}


def lens(vendor: str, category: str) -> Lens[Any]:
    """Give the mapping of a category at a vendor; raises KeyError for a pair that is not mapped."""
    return _BY_NAME[vendor, category]
