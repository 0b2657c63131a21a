"""What can happen to a simulated brand, each at a week counted from 1 at the first row of the feed.

Events are plain records; what they do to the series is in ``simulate_series`` and
``simulate``, what they do to the file in ``simulate_feed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from evermix.errors import ConfigError

Flaw = Literal["text_in_number", "duplicated_week", "negative_spend", "missing_column", "truncated_file"]


@dataclass(frozen=True)
class Bursts:
    """On and off runs of a flighted channel, both drawn evenly from ``low, high`` weeks, ends included."""

    on_weeks: tuple[int, int]
    off_weeks: tuple[int, int]

    @property
    def duty(self) -> float:
        """Return the expected share of weeks that are on, in (0, 1)."""
        return sum(self.on_weeks) / (sum(self.on_weeks) + sum(self.off_weeks))


@dataclass(frozen=True)
class Channel:
    """How a channel spends, and the ranges its true parameters are drawn from.

    Attributes
    ----------
    name : str
        The feed's column is ``<name>_spend``.
    spend : float
        Money in a usual week that is on, for a brand of size 1.
    share : tuple of float
        Range of the channel's expected share of the target.
    alpha, lam : tuple of float
        Ranges of adstock retention and of saturation on ``spend / (2 * usual spend)``.
    bursts : Bursts or None
        None: always on.
    spread : float
        Log standard deviation of the weekly spend around its plan.
    follows : float
        How strongly the plan follows demand, before the scenario's ``confounding`` multiplies it.
    """

    name: str
    spend: float
    share: tuple[float, float]
    alpha: tuple[float, float]
    lam: tuple[float, float]
    bursts: Bursts | None
    spread: float
    follows: float

    @property
    def column(self) -> str:
        """Return the feed's column."""
        return f"{self.name}_spend"


@dataclass(frozen=True)
class EffectChange:
    """A channel's effect is multiplied by ``factor`` from ``week`` on."""

    kind: ClassVar[str] = "effect_change"
    week: int
    channel: str
    factor: float


@dataclass(frozen=True)
class SpendShift:
    """A channel's spend is multiplied by ``factor`` from ``week`` on; its effect follows through the same curve."""

    kind: ClassVar[str] = "spend_shift"
    week: int
    channel: str
    factor: float


@dataclass(frozen=True)
class LevelShift:
    """The target's mean moves by so many noise standard deviations from ``week`` on."""

    kind: ClassVar[str] = "level_shift"
    week: int
    noise_sd: float


@dataclass(frozen=True)
class Outlier:
    """The target's mean moves by so many noise standard deviations in ``week`` alone."""

    kind: ClassVar[str] = "outlier"
    week: int
    noise_sd: float


@dataclass(frozen=True)
class Restatement:
    """From the delivery of ``week`` on, the cells of ``column`` in weeks ``first..last`` are multiplied by ``factor``.

    What was published first stays the truth that drove the target.
    """

    kind: ClassVar[str] = "restated"
    week: int
    column: str
    factor: float
    first: int
    last: int


@dataclass(frozen=True)
class NewChannel:
    """A channel whose column appears with ``week``; earlier rows then hold 0, or nothing if ``blank``."""

    kind: ClassVar[str] = "new_channel"
    week: int
    channel: Channel
    blank: bool = False


@dataclass(frozen=True)
class LateTarget:
    """The target of ``week`` is blank in so many deliveries, its own the first, and then filled."""

    kind: ClassVar[str] = "late_target"
    week: int
    delay_weeks: int


@dataclass(frozen=True)
class Corrupt:
    """The first delivery of ``week`` is broken in the way named; the second is right."""

    kind: ClassVar[str] = "corrupt"
    week: int
    flaw: Flaw


Event = EffectChange | SpendShift | LevelShift | Outlier | Restatement | NewChannel | LateTarget | Corrupt


def describe_event(event: Event, name_week: Callable[[int], str]) -> dict[str, object]:
    """Return one event as JSON: ``kind, week`` (its Monday), ``number``, what it changes, and a ``text``.

    Parameters
    ----------
    event : Event
    name_week : callable
        From a week's number, counted from 1, to its Monday.
    """
    out: dict[str, object] = {"kind": event.kind, "week": name_week(event.week), "number": event.week}
    match event:
        case EffectChange(_, channel, factor):
            out |= {
                "channel": channel,
                "factor": factor,
                "text": f"the effect of {channel} is multiplied by {factor:g}",
            }
        case SpendShift(_, channel, factor):
            out |= {"channel": channel, "factor": factor, "text": f"the spend of {channel} is multiplied by {factor:g}"}
        case LevelShift(_, size):
            out |= {"noise_sd": size, "text": f"the level moves by {size:+g} noise sd, for good"}
        case Outlier(_, size):
            out |= {"noise_sd": size, "text": f"this week alone moves by {size:+g} noise sd"}
        case Restatement(_, column, factor, first, last):
            span = {"first": name_week(first), "last": name_week(last)}
            text = f"{column} is restated by a factor {factor:g} from {span['first']} to {span['last']}"
            out |= {"column": column, "factor": factor, **span, "text": text}
        case NewChannel(_, channel, _):
            out |= {
                "channel": channel.name,
                "column": channel.column,
                "text": f"the channel {channel.name} is launched",
            }
        case LateTarget(_, delay):
            out |= {"delay_weeks": delay, "text": f"the target of this week is {delay} week(s) late"}
        case Corrupt(_, flaw):
            out |= {"flaw": flaw, "text": f"the first delivery is broken: {flaw.replace('_', ' ')}"}
    return out


def check_events(events: Iterable[Event], channels: Iterable[str], columns: Iterable[str]) -> None:
    """Refuse events that name no known channel or column, or weeks that cannot be.

    Raises
    ------
    ConfigError
        All faults at once.
    """
    channels, columns = sorted(channels), sorted(columns)
    faults = []
    for event in events:
        where = f"event {event.kind} of week {event.week}"
        if event.week < 1:
            faults.append(f"{where}: expected a week of at least 1.")
        if isinstance(event, EffectChange | SpendShift) and event.channel not in channels:
            faults.append(f"{where}: channel, got {event.channel!r}, expected one of {', '.join(channels) or 'none'}.")
        if isinstance(event, EffectChange | SpendShift | Restatement) and event.factor < 0:
            faults.append(f"{where}: factor, got {event.factor}, expected at least 0.")
        if isinstance(event, Restatement) and event.column not in columns:
            faults.append(f"{where}: column, got {event.column!r}, expected one of {', '.join(columns)}.")
        if isinstance(event, Restatement) and not 1 <= event.first <= event.last <= event.week:
            faults.append(
                f"{where}: weeks, got {event.first}..{event.last}, expected 1 <= first <= last <= {event.week}."
            )
        if isinstance(event, LateTarget) and event.delay_weeks < 1:
            faults.append(f"{where}: delay_weeks, got {event.delay_weeks}, expected at least 1.")
    if faults:
        raise ConfigError("scenario: " + "\n".join(faults) + "\nMend the events named.")
