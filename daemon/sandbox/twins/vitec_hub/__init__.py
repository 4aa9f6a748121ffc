"""The Vitec Hub twin: the little that public clients of the Norwegian Hub show, and no more.

`twin` holds the records and the user side, `api` answers the calls. Contacts, companies, prospects, writes and
notifications are missing because nothing public describes them; every answer says `X-Twin-Fidelity: partial`.
"""

from daemon.sandbox.twins.vitec_hub.twin import VitecHubTwin

__all__ = ["VitecHubTwin"]
