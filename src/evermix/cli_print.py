"""What the command line prints: JSON for programs, tables and lines for people, progress on stderr."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

_STAGE = re.compile(r"Running stage '(\w+)@\w+'")
_PERCENT = re.compile(r"^\w[\w ]*: +\d+ ?%")
_in_place = False


def show(args: argparse.Namespace, data: Any, text: Callable[[Any], str]) -> None:
    """Print a result as JSON when asked for, else as text."""
    progress("")
    print(json.dumps(data, indent=2) if args.json else text(data))


def progress(line: str) -> None:
    """Write one line of progress to stderr; percentages overwrite one another on a terminal."""
    global _in_place
    text = _readable(line)
    is_percent = bool(_PERCENT.match(text))
    tty = sys.stderr.isatty()
    if _in_place and tty and not is_percent:
        sys.stderr.write("\r\033[K")
        _in_place = False
    if not text:
        return
    if is_percent and tty:
        sys.stderr.write(f"\r\033[K  {text}")
        _in_place = True
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _readable(line: str) -> str:
    """Return a line of `dvc repro` in evermix's words, '' when it says nothing to a reader."""
    running = _STAGE.search(line)
    if running:
        return f"  {running.group(1)} ..."
    noise = ("> sh scripts/stage", "Updating lock file", "To track the changes", "git add", "To enable auto staging")
    if line.startswith((*noise, "\tgit add", "\tdvc config", "Use `dvc push`", "Generating lock file", "Stage '")):
        return ""
    return line.rstrip()


def ask(question: str) -> bool:
    """Ask a yes-or-no question on the terminal; no terminal, no yes."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def bar_over_weeks(outcomes: Iterable[dict[str, Any]], first: str, last: str) -> list[dict[str, Any]]:
    """Collect a replay's outcomes and say after each how far it has come."""
    total = (date.fromisoformat(last) - date.fromisoformat(first)).days // 7 + 1
    done = []
    for outcome in outcomes:
        done.append(outcome)
        reached = max(0, (date.fromisoformat(outcome["as_of"]) - date.fromisoformat(first)).days // 7 + 1)
        progress(f"[{reached}/{total}] {outcome['as_of']} {outcome['decision'] or outcome['status']}")
    return done


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """Return an aligned plain table."""
    cells = [columns, *[["" if value is None else str(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def fields_text(data: dict[str, Any]) -> str:
    """Return a flat record as aligned lines."""
    width = max((len(key) for key in data), default=0)
    return "\n".join(f"{key.ljust(width)}  {_plain(value)}" for key, value in data.items() if value is not None)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def weeks_text(outcomes: list[dict[str, Any]]) -> str:
    """Return outcomes of weeks as a table, with what to do next when a person is needed."""
    rows = [
        [o["as_of"], o["decision"] or o["status"], o.get("verdict"), o.get("version"), "; ".join(o["reasons"])]
        for o in outcomes
    ]
    text = table(["week", "decision", "verdict", "version in use", "why"], rows)
    for outcome in outcomes:
        text += "".join(f"\nnote on {outcome['as_of']}: {warning}" for warning in outcome.get("warnings", []))
    asked = [
        o for o in outcomes if (o.get("approval") or {}).get("state", "pending") == "pending" and o.get("approval")
    ]
    if asked:
        text += f"\n\nA person is asked. See `evermix review --model {asked[-1]['model']}`."
    if outcomes and outcomes[-1]["decision"] == "quarantine":
        model, as_of = outcomes[-1]["model"], outcomes[-1]["as_of"]
        text += (
            f"\n\nThe version in use serves on. `evermix validate --model {model}` says of each fault what to do; "
            f"with the corrected file run the same week again.\nA fault that is true: `evermix accept --model {model} "
            f"--as-of {as_of} --fault RULE --reason TEXT`."
        )
    return text


def rehearsal_text(told: dict[str, Any]) -> str:
    """Return what a week would do, in a few lines."""
    if told["status"] == "closed":
        return f"{told['model']} {told['as_of']} is closed; nothing would happen."
    lines = [
        f"{told['model']} {told['week']}: {told['decision'] or told['status']}",
        *(f"  {r}" for r in told["reasons"]),
    ]
    if told["status"] == "rehearsed":
        seconds = told["expected_seconds"]
        how_long = (
            "none was computed here yet, so how long is not known" if seconds is None else f"about {seconds:.0f} s"
        )
        lines.append(f"  a week {'with' if told['fits'] else 'without'} a fit: {how_long}")
    if len(told["pending"]) > 1:
        lines.append(f"  then, not rehearsed: {', '.join(told['pending'][1:])}")
    return "\n".join(lines)


def history_text(weeks: list[dict[str, Any]]) -> str:
    """Return the history as a table."""
    if not weeks:
        return "No week was decided yet. Run `evermix week --model MODEL --as-of MONDAY`."
    rows = [
        [
            w["model"],
            w["as_of"],
            w["decision"] + (" (healed)" if w["healed"] else ""),
            w["verdict"],
            (w["approval"] or {}).get("state"),
            w["version"],
            "; ".join(w["reasons"]),
        ]
        for w in weeks
    ]
    return table(["model", "week", "decision", "verdict", "approval", "version in use", "why"], rows)


def rules_text(models: list[dict[str, Any]]) -> str:
    """Return what the rules cost as a table."""
    rows = [
        [
            *(m["model"], r["rule"], r["leads_to"], r["weeks"], r["missing"], r["fired"]),
            ", ".join(f"{count} {decision}" for decision, count in r["decided"].items()),
            *(
                ("", "")
                if r["low_95"] is None
                else (f"{r['fits_per_year']:.1f}", f"{r['low_95']:.1f} to {r['high_95']:.1f}")
            ),
        ]
        for m in models
        for r in m["rules"]
    ]
    head = ["model", "rule", "leads to", "weeks", "lacking", "fired", "decided", "fits a year", "95 % interval"]
    return table(head, rows) if rows else "No week was decided yet, so no rule was asked."


def evidence_text(known: dict[str, dict[str, str]]) -> str:
    """Return what a rule may ask as a table."""
    rows = [[name, about["unit"], about["lasts"], about["meaning"]] for name, about in known.items()]
    return table(["evidence", "unit", "lasts", "meaning"], rows)


def drift_text(told: dict[str, Any]) -> str:
    """Return the plain PSI of each column, largest first."""
    rows = [[c["column"], f"{c['psi']:.4f}", f"{c['quiet_psi']:.4f}", c["verdict"]] for c in told["columns"]]
    text = table(["column", "PSI", "mean PSI if nothing changed", "verdict"], rows)
    return f"{text}\n{told['note']}"


def quality_text(models: list[dict[str, Any]]) -> str:
    """Return per model the series of its last delivery, those outside their limits first."""
    return "\n\n".join(_quality_of(model) for model in models)


def _quality_of(told: dict[str, Any]) -> str:
    if told["as_of"] is None:
        return (
            f"{told['model']}: no quality was recorded yet. Run `evermix week --model {told['model']} --as-of MONDAY`."
        )
    points = sorted(told["points"], key=lambda point: not point["outside"])
    often = Counter((p["measure"], p["column"]) for p in told["series"] if p["outside"])
    rows = [
        [
            "outside" if p["outside"] else None,
            p["measure"],
            p["column"],
            _short(p["value"]),
            _short(p["low"]),
            _short(p["high"]),
            p["limit"],
            p["weeks"],
            often[p["measure"], p["column"]],
        ]
        for p in points
    ]
    refused = "" if points[0]["accepted"] else ", refused"
    head = f"{told['model']} {told['as_of']}: delivery {points[0]['delivery']}{refused}"
    columns = ["", "measure", "column", "value", "low", "high", "limit", "past", "ever outside"]
    return f"{head}\n{table(columns, rows)}"


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def status_text(models: list[dict[str, Any]]) -> str:
    """Return one paragraph per model."""
    return "\n\n".join(_model_text(m) for m in models)


def _model_text(m: dict[str, Any]) -> str:
    champion, last, asked = m["champion"], m["last_decision"], m["pending_approval"]
    lines = [f"{m['model']} ({m['kind']})"]
    lines.append(
        f"  champion   {champion['version']}, fitted through {champion['fitted_through']}"
        + (f", updated through {champion['updated_through']}" if champion["updated_through"] else "")
        if champion
        else "  champion   none"
    )
    if last:
        lines.append(f"  last week  {last['as_of']}: {last['decision']} ({'; '.join(last['reasons'])})")
    else:
        lines.append("  last week  none decided yet")
    if asked:
        lines.append(f"  waits for  a person: {asked['version']} ({'; '.join(asked['reasons'])})")
    for what, order in (("frozen by", m["frozen"]), ("refit of", m["refit_asked"])):
        if order is not None:
            lines.append(f"  {what.ljust(9)}  {order['by']}: {order['reason']}")
    for fault in m["ledger"]["faults"]:
        lines.append(f"  LEDGER     {fault}")
    for text in m["registry"] or []:
        lines.append(f"  REGISTRY   {text}. Repair with `evermix promote --model {m['model']} --reconcile`.")
    return "\n".join(lines)


def plan_text(told: dict[str, Any]) -> str:
    """Return the budget of a model for a terminal."""
    from evermix.core.budget_words import budget_words

    words = budget_words(told["budget"])
    lines = [f"{told['model']}, by {told['version']}", words.summary]
    lines += ["", table(words.head, words.rows), ""] if words.rows else []
    lines += words.notes
    lines += (
        ["", f"Experiment: {words.experiment}", *(f"  {point}" for point in words.points)] if words.experiment else []
    )
    return "\n".join(lines)


def question_text(data: dict[str, Any]) -> str:
    """Return the pending question for a terminal."""
    if data["question"] is None:
        return f"{data['model']}: no question is pending."
    return f"{data['body']}\n\nAnswer with `evermix review --model {data['model']} --answer approve|reject`."


def check_text(report: dict[str, Any]) -> str:
    """Return a validation report for a terminal: every fault with where, what, value, rule, what to do."""
    span = f"{report['first_week']} to {report['last_week']}"
    lines = [f"{report['model']}: {report['weeks']} weeks, {span}: {report['status']}"]
    for kind in ("faults", "warnings"):
        for fault in report[kind]:
            lines.append(
                f"  {kind[:-1]} {fault['rule']}: {fault['where']}: {fault['what']}, got {fault['value']}, "
                f"expected {fault['expected']}. {fault['action']}"
            )
    return "\n".join(lines)


def init_text(summary: dict[str, Any]) -> str:
    """Return what `init` recognised and what it left out."""
    done = "entry written to" if summary["written"] else "nothing was written (say --yes); an entry would go to"
    lines = [f"{summary['model']}: {done} {summary['params_file']}", "recognised:"]
    lines += [f"  {column}: {why}" for column, why in _pairs(summary["recognised"])]
    lines += ["left out:"] + [f"  {column}: {why}" for column, why in _pairs(summary["left_out"])]
    lines.append(f"weeks that can be closed: {summary['as_of_range']}")
    return "\n".join([*lines, f"next: {summary['next']}"])


def _pairs(items: Any) -> list[tuple[str, str]]:
    if isinstance(items, dict):
        return [(str(key), _plain(value)) for key, value in items.items()]
    return [(str(item.get("column")), str(item.get("why") or item.get("role"))) for item in items]


def simulate_text(summary: dict[str, Any]) -> str:
    """Return what was simulated."""
    flat = {key: value for key, value in summary.items() if not isinstance(value, list)}
    planted = [d for d in summary.get("deliveries", []) if d.get("planted")]
    lines = [fields_text(flat), *[f"  {d['as_of']}: {'; '.join(p['text'] for p in d['planted'])}" for d in planted]]
    return "\n".join(lines)


def demo_text(summary: dict[str, Any]) -> str:
    """Return the end of the demo: its weeks and where to look."""
    rest = {key: value for key, value in summary.items() if key != "weeks"}
    return f"{history_text(summary['weeks'])}\n\n{fields_text(rest)}"


def verify_text(report: dict[str, Any]) -> str:
    """Return per model what was checked and every finding: where, what, value, what was expected, what to do."""
    lines = []
    for model in report["models"]:
        checked = ", ".join(f"{number} {what}" for what, number in model["checked"].items())
        lines.append(f"{model['model']}: {'clean' if model['clean'] else 'NOT CLEAN'} (checked: {checked})")
        lines += [
            f"  {f['where']}: {f['what']}; got {f['value']}, expected {f['expected']}. {f['action']}"
            for f in model["findings"]
        ]
        lines += [f"  note: {note}" for note in model["notes"]]
    return "\n".join(lines)


def told_text(told: dict[str, Any]) -> str:
    """Return what is overdue, what was sent and what failed."""
    lines = [f"overdue  {alert['title']}: {alert['happened']} {alert['action']}" for alert in told.get("overdue", [])]
    lines += [f"{key:<8} {line['route']}: {line['title']}" for key in ("sent", "due") for line in told[key]]
    return "\n".join(lines) or "Nothing is overdue, and nothing is due at a route of alerts.yaml."


def export_text(summary: dict[str, Any]) -> str:
    """Return how many rows each table got, and what is missing."""
    names = list(summary["rows"])
    rows = [[m["model"], m["as_of"], m["version"], *(m["rows"][name] for name in names)] for m in summary["models"]]
    notes = [f"  {m['model']}: {note}" for m in summary["models"] for note in m["notes"]]
    return "\n".join([f"written to {summary['to']}", table(["model", "week", "version in use", *names], rows), *notes])
