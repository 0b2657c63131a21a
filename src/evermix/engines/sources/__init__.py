"""What a source tells: fetched as bytes, read as tables of text, kept as panels."""

from evermix.engines.sources.fetch import Delivery, NotDelivered, fetch
from evermix.engines.sources.tables import Table, keep_rows, panel_bytes, read_panel, read_table

__all__ = ["Delivery", "NotDelivered", "Table", "fetch", "keep_rows", "panel_bytes", "read_panel", "read_table"]
