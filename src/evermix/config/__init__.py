"""What a team sets: ``params.yaml`` (results) and ``EVERMIX_*`` variables (places, addresses)."""

from evermix.config.environment import Environment
from evermix.config.schema import (
    ChannelColumns,
    Check,
    ColumnParams,
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
    "ChannelColumns",
    "Check",
    "ColumnParams",
    "Environment",
    "HolidayCalendar",
    "InputColumn",
    "MaskedWeeks",
    "ModelParams",
    "MonitorParams",
    "Params",
    "Rule",
    "SourceParams",
    "load_params",
    "parse_params",
]
