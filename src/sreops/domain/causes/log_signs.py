"""The signs in log text by which the rules know a cause. Patterns are RE2, read line by line, case ignored."""

from sreops.domain.causes.log_sign import NEGATED, LogSign
from sreops.domain.causes.network_signs import NETWORK_SIGNS
from sreops.domain.causes.resource_signs import RESOURCE_SIGNS
from sreops.domain.causes.setup_signs import SETUP_SIGNS
from sreops.domain.causes.symptom_signs import SYMPTOM_SIGNS

__all__ = ["LOG_SIGNS", "NEGATED", "RECOVERED", "LogSign"]

LOG_SIGNS: tuple[LogSign, ...] = (*RESOURCE_SIGNS, *SETUP_SIGNS, *NETWORK_SIGNS, *SYMPTOM_SIGNS)

RECOVERED = (
    r"\brecovered\b|\bre-?connected\b|connection (re-?established|restored)|back to normal|rollback successful|"
    r"rolled back|now healthy|auto-rolled back|is healthy again"
)
"""A line that says it is over: counts against what other lines complain of."""
