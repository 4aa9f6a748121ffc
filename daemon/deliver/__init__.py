"""Stage 4: commands are sent within the vendors' limits, and what became of them is appended."""

from daemon.deliver.deliverer import Deliverer
from daemon.deliver.propstreet import PropstreetTarget
from daemon.deliver.vitec_connect import VitecConnectTarget

__all__ = ["Deliverer", "PropstreetTarget", "VitecConnectTarget"]
