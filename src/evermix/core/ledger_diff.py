"""Two tellings of one ledger, and what the newer did to the older, in words.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from evermix.core import ledger
from evermix.core.ledger import Event

_SHOWN_FIELDS = 3
_LONGEST_VALUE = 60
_CHAIN_FIELDS = ("seq", "previous", "hash")


def parse_ledger(data: bytes) -> tuple[list[Event], list[str]]:
    """Return the events that can be read, and what cannot or is not written the way evermix writes."""
    events: list[Event] = []
    faults: list[str] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError as err:
            faults.append(f"line {number} is not JSON ({err})")
            continue
        if isinstance(event, dict) and _is_finite(event):
            events.append(event)
        else:
            faults.append(f"line {number} is not an event")
    if not faults and ledger.to_lines(events).encode() != data:
        faults.append("its text is not as evermix writes it, though every line can be read")
    return events, faults


def differences(old: Sequence[Event], new: Sequence[Event]) -> list[str]:
    """Return in words what of an older ledger a newer one changed, cut or lacks; events at the end may be new."""
    before, after = [_content(e) for e in old], [_content(e) for e in new]
    out: list[str] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, came = list(old[i:i_end]), list(new[j:j_end])
        if kind == "equal":
            continue
        pairs = list(zip(gone, came, strict=False))
        out += [_change(a, b) for a, b in pairs]
        lost = gone[len(pairs) :]
        if lost:
            how = "cut off at the end" if j_end == len(new) else "missing"
            out.append(f"{_names(lost)} {'is' if len(lost) == 1 else 'are'} {how}")
        if came[len(pairs) :] and i_end < len(old):
            out.append(f"{_names(came[len(pairs) :])} put in between older events")
    if not out and list(new[: len(old)]) != list(old):
        out.append("the events say the same and their hashes do not")
    return out


def _content(event: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in event.items() if k not in _CHAIN_FIELDS}, sort_keys=True)


def _names(events: Sequence[Event]) -> str:
    named = [f"event {e.get('seq')} ({e.get('event')} of {e.get('as_of')})" for e in events]
    return ", ".join(named)


def _change(old: Event, new: Event) -> str:
    if (old.get("event"), old.get("as_of")) != (new.get("event"), new.get("as_of")):
        return f"{_names([old])} gave place to {_names([new])}"
    a, b = dict(_leaves(old)), dict(_leaves(new))
    fields = [key for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key) and key not in _CHAIN_FIELDS]
    told = [f"{key} was {_short(a.get(key))}, is {_short(b.get(key))}" for key in fields[:_SHOWN_FIELDS]]
    more = [f"and {len(fields) - _SHOWN_FIELDS} more fields"] if len(fields) > _SHOWN_FIELDS else []
    return f"{_names([old])} changed: {', '.join([*told, *more])}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _is_finite(event: Mapping[str, Any]) -> bool:
    try:
        ledger.event_hash(event)
    except ValueError:
        return False
    return True
