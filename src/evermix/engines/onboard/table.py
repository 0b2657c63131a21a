"""The table that is being recognised, and what was said of its columns so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from evermix.core import roles
from evermix.errors import DataError


@dataclass
class Table:
    """The table and what was said of its columns so far; each column is spoken of once."""

    path: str
    frame: pd.DataFrame
    roles: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def open_columns(self, *wanted: roles.Role) -> list[str]:
        """Return the columns not spoken of yet, of some roles by name or of all."""
        free = [c for c in self.frame if c not in self.roles and c not in self.left_out]
        return [c for c in free if not wanted or roles.role_by_name(c) in wanted]

    def error(self, what: str) -> DataError:
        """Return an error that says where the table is."""
        return DataError(f"{self.path}: {what}")
