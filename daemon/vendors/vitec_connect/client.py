"""Vitec Connect (Sweden): the calls that the sync and the leads need, by subject in the modules beside this one.

Records stay the bytes that the vendor sent. Every method raises the VendorErrors of `daemon.vendors.http`.
AccessDenied means: stop for this customer and ask once a day, since a closed office answers 403 to everything
and calling on gets a partner blocked (hosts, login, rights).
"""

from daemon.vendors.vitec_connect.contacts import Category, Changes, ContactCalls, Kind, Match, Reference
from daemon.vendors.vitec_connect.estates import EstateCalls, EstateReference
from daemon.vendors.vitec_connect.leads import LeadCalls, LeadSource
from daemon.vendors.vitec_connect.relations import RelationCalls

__all__ = [
    "Category",
    "Changes",
    "EstateReference",
    "Kind",
    "LeadSource",
    "Match",
    "Reference",
    "VitecConnectClient",
]


class VitecConnectClient(ContactCalls, EstateCalls, RelationCalls, LeadCalls):
    """Calls for one customer, an office."""
