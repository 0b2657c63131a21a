"""Evidently's drift tables, for people who know them; evermix does not decide by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NOTE = (
    "Evidently's thresholds assume large independent samples; evermix decides by the calibrated test. "
    "On weekly, seasonal series this page calls drift in most quiet weeks."
)
_BANNER = (
    '<div style="font:15px/1.45 system-ui,sans-serif;padding:12px 20px;background:#fff4d6;color:#4a3800;'
    f'border-bottom:1px solid #e2c877">{NOTE}</div>'
)


def evidently_report(reference: pd.DataFrame, current: pd.DataFrame, path: Path) -> None:
    """Write Evidently's data drift report of two windows of a panel, marked as what it is.

    Parameters
    ----------
    reference, current : DataFrame
        Rows of a panel; inputs and target are compared, ``week`` and ``geo`` are not.
    path : Path
        The HTML file to write.

    Notes
    -----
    The import takes about 10 s, so a quiet week does without.
    """
    import os
    import warnings

    # Evidently reports its use to its makers unless told not to.
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings():
        # Evidently 0.7.23 and what it imports warn of their own deprecated calls.
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        columns = [name for name in reference.columns if name not in ("week", "geo")]
        # Its importers refuse the nullable and second-resolution types of a panel.
        result = Report([DataDriftPreset()]).run(current[columns].astype(float), reference[columns].astype(float))
        html = result.get_html_str(as_iframe=False)
    start = html.find(">", html.find("<body")) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html[:start] + _BANNER + html[start:], encoding="utf-8")
