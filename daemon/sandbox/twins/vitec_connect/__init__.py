"""The Vitec Connect twin: contacts, estates, relations, notes, leads and notifications as Vitec's pages describe them.

`twin` is the whole; `office` holds the records; a `…_desk` has the users' hands and the effect of writes, a
`…_calls` the routes, which `api` gathers behind login and limits. `contacts`, `estates`, `relations` and
`leads` give the vendor's forms and rules, `writing` reads bodies, `notifications` tells subscribers, `switches`
names every point on which the vendor's word is missing or disagrees with itself.
"""

from daemon.sandbox.twins.vitec_connect.switches import Switches
from daemon.sandbox.twins.vitec_connect.twin import VitecConnectTwin

__all__ = ["Switches", "VitecConnectTwin"]
