"""The Vitec Connect twin: contacts, companies and notifications as Vitec's pages describe them.

`twin` holds the records and the user side, `api` answers the calls, `writing` reads UpdatePerson and
UpdateCompany, `contacts` gives the read forms, `notifications` tells subscribers, `switches` names every
point on which the vendor's word is missing or disagrees with itself.
"""

from daemon.sandbox.twins.vitec_connect.switches import Switches
from daemon.sandbox.twins.vitec_connect.twin import VitecConnectTwin

__all__ = ["Switches", "VitecConnectTwin"]
