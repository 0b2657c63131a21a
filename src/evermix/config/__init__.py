"""What a team sets: ``params.yaml`` (results), ``alerts.yaml`` (who is told) and ``EVERMIX_*`` variables (places)."""

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
from evermix.config.schema import (
    ChannelColumns,
    Check,
    ColumnParams,
    Condition,
    HolidayCalendar,
    InputColumn,
    MaskedWeeks,
    ModelParams,
    MonitorParams,
    Params,
    Rule,
    SourceParams,
    load_params,
    parse_params,
)

__all__ = [
    "EVIDENCE",
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
