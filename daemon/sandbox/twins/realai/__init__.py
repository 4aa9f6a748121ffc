"""The RealAI Lead twin: takes a valuation lead, writes the Swedish message and sends both to a Vitec.

`twin` answers the calls and asks Vitec, `lead` reads the body, `message` writes the text, `switches` names
every point on which the vendor's word is missing or disagrees with itself.
"""

from daemon.sandbox.twins.realai.switches import Switches
from daemon.sandbox.twins.realai.twin import RealAiTwin

__all__ = ["RealAiTwin", "Switches"]
