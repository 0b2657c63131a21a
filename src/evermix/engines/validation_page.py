"""The validation report as one HTML file that opens offline: what was found, and each column over time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evermix.records import ValidationReport

_WIDTH, _HEIGHT, _PAD = 560, 90, 6
# A page is for eyes: the last ten years of the first twelve geos.
_MOST_WEEKS, _MOST_GEOS = 520, 12
_LARGEST = float(np.finfo(float).max) / 4
_COLOURS = ("#2563a8", "#b4632a", "#3f7d4e", "#7a4a9e", "#8a8a2c", "#4a7f8c")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ r.model }} {{ r.as_of }}: {{ r.status }}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
.accepted{color:#24713f}.quarantined{color:#b3261e}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #dde2e8}
td.value{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
figure{display:inline-block;margin:.4rem 1rem .4rem 0}figcaption{font-size:.85rem;color:#51606f}
svg{background:#f7f8fa;border:1px solid #e4e8ed}
</style></head><body>
<h1>{{ r.model }}, week {{ r.as_of }}: <span class="{{ r.status }}">{{ r.status }}</span></h1>
<p>{{ r.weeks }} weeks{% if r.first_week %} from {{ r.first_week }} to {{ r.last_week }}{% endif %}.
{% if r.held_back %} Held back as incomplete: {{ r.held_back | join(", ") }}.{% endif %}
{% if r.late_targets %} Target still late: {{ r.late_targets | join(", ") }}.{% endif %}
{% if r.masked %} Target masked by params: {{ r.masked | join(", ") }}.{% endif %}
{% if r.faults %} Nothing downstream runs on this delivery; the version in use goes on serving.{% endif %}</p>
{% for title, found in (("Faults", r.faults), ("Warnings", r.warnings)) %}
<h2>{{ title }}: {{ found | length }}</h2>
{% if found %}<table><tr><th>where</th><th>what</th><th>value</th><th>expected</th><th>what to do</th></tr>
{% for f in found %}<tr><td>{{ f.where }}</td><td>{{ f.what }}</td><td class="value">{{ f.value }}</td>
<td>{{ f.expected }}</td><td>{{ f.action }}</td></tr>
{% endfor %}</table>{% endif %}
{% endfor %}
{% if plots %}<h2>Columns over time</h2>
{% for name, low, high, svg in plots %}<figure>{{ svg | safe }}
<figcaption>{{ name }}: {{ low }} to {{ high }}</figcaption></figure>
{% endfor %}{% endif %}
</body></html>
"""


def render(report: ValidationReport, grid: pd.DataFrame, marks: set[tuple[str, str]]) -> str:
    """Return the page; a red bar stands on each week of a column in which something was found.

    Parameters
    ----------
    grid : DataFrame
        Index (week, geo), as far as the delivery could be read; empty for no plots.
    marks : set of (str, str)
        Week (ISO) and panel column.
    """
    import jinja2

    plots = []
    for name in grid.columns.drop(["rows", "days", "row"], errors="ignore"):
        values = grid[name]
        if values.notna().any():
            marked = {week for week, column in marks if column in (name, "rows", "days")}
            shown = values.unstack("geo").iloc[-_MOST_WEEKS:, :_MOST_GEOS]
            plots.append((name, f"{values.min():.6g}", f"{values.max():.6g}", _svg(shown, marked)))
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_PAGE)
    return page.render(r=report, plots=plots) + "\n"


def _svg(wide: pd.DataFrame, marked: set[str]) -> str:
    """Return a line per geo (weeks, geos) on one scale; gaps stay gaps."""
    # Half of the largest number there is: the span of two must be one, too.
    wide = wide.clip(-_LARGEST, _LARGEST)
    low, high = float(wide.min().min()), float(wide.max().max())
    span = high - low or 1.0
    step = (_WIDTH - 2 * _PAD) / max(len(wide) - 1, 1)
    x = [round(_PAD + step * place, 1) for place in range(len(wide))]
    bars = [
        f'<line x1="{x[place]}" x2="{x[place]}" y1="0" y2="{_HEIGHT}" stroke="#d64541" stroke-width="2" opacity="0.6"/>'
        for place, week in enumerate(wide.index)
        if week.date().isoformat() in marked
    ]
    lines = []
    for place, geo in enumerate(wide):
        y = (_HEIGHT - _PAD - (wide[geo] - low) / span * (_HEIGHT - 2 * _PAD)).round(1)
        path, pen_up = [], True
        for left, top in zip(x, y, strict=True):
            if not pd.isna(top):
                path.append(f"{'M' if pen_up else 'L'}{left} {top}")
            pen_up = pd.isna(top)
        lines.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{_COLOURS[place % len(_COLOURS)]}" stroke-width="1.3"/>'
        )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(bars + lines)}</svg>'
