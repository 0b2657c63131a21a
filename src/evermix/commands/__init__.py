"""What each command of the command line does: calls one verb and hands its result to the printer."""

from evermix.commands.look import evidence, export, exporter, history, metrics, plan, quality, rules, status, verify
from evermix.commands.person import accept, freeze, notify, promote, refit, review, rollback, unfreeze, watchdog
from evermix.commands.start import adopt, demo, down, init, manifest, simulate, up
from evermix.commands.weekly import close, ingest, pending, replay, report, stage, week

__all__ = [
    "accept",
    "adopt",
    "close",
    "demo",
    "down",
    "evidence",
    "export",
    "exporter",
    "freeze",
    "history",
    "ingest",
    "init",
    "manifest",
    "metrics",
    "notify",
    "pending",
    "plan",
    "promote",
    "quality",
    "refit",
    "replay",
    "report",
    "review",
    "rollback",
    "rules",
    "simulate",
    "stage",
    "status",
    "unfreeze",
    "up",
    "verify",
    "watchdog",
    "week",
]
