"""The audit: both vendors are read anew and compared for equality; what is missing goes the ordinary way."""

from daemon.reconcile.audit import Behind, Findings, audit, carry_out
from daemon.reconcile.auditor import Auditor

__all__ = ["Auditor", "Behind", "Findings", "audit", "carry_out"]
