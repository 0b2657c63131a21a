"""What a source tells: fetched as bytes, read as tables of text, kept as panels."""

from evermix.engines.sources.fetch import Delivery, fetch
from evermix.engines.sources.tables import Table, keep_rows, panel_bytes, panel_of, read_panel, read_table, table_bytes

__all__ = [
    "Delivery",
    "Table",
    "fetch",
    "keep_rows",
    "panel_bytes",
    "panel_of",
    "read_panel",
    "read_table",
    "table_bytes",
]
