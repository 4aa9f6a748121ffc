"""A twin of Propstreet's public API: the network, projects, prospects, notes and webhooks, in memory.

`switches` what the vendor leaves open · `problems` its error form · `checks` what a value must be like ·
`schemas` what may be written, and by whom · `fields` what follows from a write · `records` rows and their order ·
`store` the rules of writing · `views` how records read · `activity` notes and timelines · `duplicates` the search
for look-alikes · `webhooks` deliveries · `gate` tokens, limits, idempotency · `answers` pages and queries ·
`api`, `prospect_api`, `activity_api` and `webhook_api` the routes · `twin` all of it together, and the side of the
people.
"""

from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.propstreet.twin import PropstreetTwin

__all__ = ["Problem", "PropstreetTwin", "Switches"]
