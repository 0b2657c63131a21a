"""Loaded by every Python process that a fault case starts: harms it at one named point, or counts what comes by.

``EVERMIX_FAULT`` is JSON: ``at`` (``module:attribute``), ``call`` (which call, from 1), ``when`` (``before`` or
``after``), ``role`` (``cli``, ``dvc`` or ``stage``: the process meant), ``verbs`` (of calls that run a command, only
those whose second word is one of these), ``count`` (a file that gets one line per call of any of the places in ``at``;
nothing is killed), ``clock_s`` (how far `time.time` is off).  The harm is SIGKILL to the whole process group, which
the case made for this command alone.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
from pathlib import Path

FAULT = json.loads(os.environ.get("EVERMIX_FAULT", "{}"))


def role():
    """Tell which of the processes of a week this is."""
    words = " ".join(sys.orig_argv)
    for name, sign in (("stage", "-m evermix.stages"), ("dvc", "-m dvc"), ("cli", "-m evermix")):
        if sign in words:
            return name
    return "other"


def die():
    os.killpg(os.getpgid(0), signal.SIGKILL)


def harmed(function, name):
    """Return the function with the harm around it."""
    calls = 0

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        nonlocal calls
        command = next((list(a) for a in args if isinstance(a, list)), [])
        if command and FAULT.get("verbs") and command[1] not in FAULT["verbs"]:
            return function(*args, **kwargs)
        calls += 1
        if "count" in FAULT:
            with Path(FAULT["count"]).open("a") as file:
                file.write(json.dumps([name, command[:3]]) + "\n")
            return function(*args, **kwargs)
        meant = calls == FAULT.get("call", 1)
        if meant and FAULT.get("when") == "before":
            die()
        result = function(*args, **kwargs)
        if meant and FAULT.get("when") == "after":
            die()
        return result

    return wrapper


class Saboteur(importlib.abc.MetaPathFinder):
    """Finds the one module that is meant, and replaces the attribute once the module is there."""

    def __init__(self, module, attribute):
        self.module, self.attribute = module, attribute

    def find_spec(self, name, path=None, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name) if path is None else importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            *owners, last = self.attribute.split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, last, harmed(getattr(owner, last), f"{self.module}:{self.attribute}"))

        spec.loader.exec_module = exec_module
        return spec


if FAULT.get("role", "cli") == role():
    for place in [FAULT["at"]] if isinstance(FAULT.get("at"), str) else FAULT.get("at", []):
        sys.meta_path.insert(0, Saboteur(*place.split(":")))
if FAULT.get("clock_s"):
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + FAULT["clock_s"]
    time.time_ns = lambda: true_time_ns() + FAULT["clock_s"] * 10**9
