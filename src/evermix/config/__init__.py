"""What a team sets: ``params.yaml`` (results), ``alerts.yaml`` (who is told) and ``EVERMIX_*`` variables (places)."""

from evermix.config.columns import ChannelColumns, ColumnParams, HolidayCalendar, InputColumn, SourceParams
from evermix.config.environment import Environment
from evermix.config.evidence import EVIDENCE, Evidence
from evermix.config.operations import (
    Deadlines,
    Operations,
    Route,
    airflow_url,
    check_routes,
    has_operations,
    load_operations,
    parse_operations,
)
from evermix.config.rules import Check, Condition, Rule
from evermix.config.schema import (
    FREEZE,
    PERSON,
    MaskedWeeks,
    ModelParams,
    MonitorParams,
    Params,
    load_params,
    parse_params,
)

__all__ = [
    "EVIDENCE",
    "FREEZE",
    "PERSON",
    "ChannelColumns",
    "Check",
    "ColumnParams",
    "Condition",
    "Deadlines",
    "Environment",
    "Evidence",
    "HolidayCalendar",
    "InputColumn",
    "MaskedWeeks",
    "ModelParams",
    "MonitorParams",
    "Operations",
    "Params",
    "Route",
    "Rule",
    "SourceParams",
    "airflow_url",
    "check_routes",
    "has_operations",
    "load_operations",
    "load_params",
    "parse_operations",
    "parse_params",
]
