"""The mappings: one module per vendor and category. `lens` finds the one for a record."""

from typing import Any

from daemon.mappings.lens import Lens
from daemon.mappings.propstreet_company import PropstreetCompany
from daemon.mappings.propstreet_contact import PropstreetContact
from daemon.mappings.propstreet_link import PropstreetLink
from daemon.mappings.propstreet_note import PropstreetNote
from daemon.mappings.propstreet_project import PropstreetProject
from daemon.mappings.propstreet_property import PropstreetProperty
from daemon.mappings.propstreet_prospect import PropstreetProspect
from daemon.mappings.vitec_company import VitecCompany
from daemon.mappings.vitec_estate import VitecEstate
from daemon.mappings.vitec_link import VitecLink
from daemon.mappings.vitec_note import VitecNote
from daemon.mappings.vitec_person import VitecPerson
from daemon.mappings.vitec_property import VitecProperty
from daemon.mappings.vitec_relation import VitecRelation

LENSES: tuple[Lens[Any], ...] = (
    VitecPerson(),
    VitecCompany(),
    VitecEstate(),
    VitecRelation(),
    VitecLink(),
    VitecNote(),
    VitecProperty(),
    PropstreetContact(),
    PropstreetCompany(),
    PropstreetProject(),
    PropstreetProspect(),
    PropstreetLink(),
    PropstreetNote(),
    PropstreetProperty(),
)

_BY_NAME = {(lens.vendor, lens.category): lens for lens in LENSES}


def lens(vendor: str, category: str) -> Lens[Any]:
    """Give the mapping of a category at a vendor; raises KeyError for a pair that is not mapped."""
    return _BY_NAME[vendor, category]
