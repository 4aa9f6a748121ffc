"""A twin of Propstreet's public API: contacts, companies, links and webhooks, in memory.

`switches` what the vendor leaves open · `problems` its error form · `fields` what may be written ·
`store` the records · `duplicates` the search for look-alikes · `webhooks` deliveries · `gate` tokens, limits,
idempotency · `api` and `webhook_api` the routes · `twin` all of it together, and the side of the people.
"""

from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.propstreet.twin import PropstreetTwin

__all__ = ["Problem", "PropstreetTwin", "Switches"]
