"""What several parts of ``params.yaml`` are made of: names, shares, Mondays, and the strictness of all."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=0)]


def _is_monday(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.weekday():
        raise ValueError("expected a Monday as YYYY-MM-DD in quotes")
    return text


Monday = Annotated[str, AfterValidator(_is_monday)]
Aggregate = Literal["sum", "mean", "max", "min", "last"]


class Strict(BaseModel):
    """A part of params: an unknown key is refused, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
