"""Series of a simulated brand: calendar, seasons, price, promotions, spend, adstock and saturation.

Every draw comes from a stream of its own, named by what is drawn, and runs forward
in time: adding an event, a channel or more weeks leaves all other draws as they were.
Adstock and saturation are written here anew, on purpose: the simulator must not share
a bug with the models that are tried on it.
"""

from __future__ import annotations

import zlib
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from evermix.core.simulate_events import Bursts, Channel

Series = NDArray[np.float64]

L_MAX = 8
"""Longest carry-over, in weeks, the week of spending included."""

# New Year, Easter time, Whitsun time, Black Friday, Christmas: fixed ISO weeks, so that no calendar library can
# move a simulated past.
HOLIDAY_ISO_WEEKS = (1, 16, 22, 48, 52)


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random stream of one component; the same seed and names give the same draws."""
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


def list_mondays(first: date, n: int) -> list[date]:
    """Return ``n`` Mondays in a row."""
    return [first + timedelta(weeks=i) for i in range(n)]


def yearly_terms(mondays: list[date]) -> Series:
    """Return sine and cosine of the first two orders of the year.

    Returns
    -------
    ndarray, shape (week, 4)
        ``sin 1, cos 1, sin 2, cos 2`` of ``2 pi * order * day of year / 365.25``, as pymc-marketing's
        ``YearlyFourier`` has it.
    """
    day = np.array([m.timetuple().tm_yday for m in mondays], dtype=float)
    angles = [2.0 * np.pi * order * day / 365.25 for order in (1, 2)]
    return np.column_stack([f(angle) for angle in angles for f in (np.sin, np.cos)])


def mark_holidays(mondays: list[date]) -> Series:
    """Return 1.0 for weeks with a holiday, else 0.0; shape (week,)."""
    return np.array([float(m.isocalendar().week in HOLIDAY_ISO_WEEKS) for m in mondays])


def draw_runs(rng: np.random.Generator, n: int, bursts: Bursts) -> Series:
    """Return 1.0 for weeks that are on and 0.0 for those that are off; starts with an off run; shape (week,)."""
    on: list[float] = []
    state = 0.0
    while len(on) < n:
        low, high = bursts.on_weeks if state else bursts.off_weeks
        on += [state] * int(rng.integers(low, high + 1))
        state = 1.0 - state
    return np.array(on[:n])


def draw_ar1(rng: np.random.Generator, n: int, phi: float) -> Series:
    """Return a stationary autoregression of standard deviation 1 with lag-one correlation ``phi``; shape (week,)."""
    shocks = rng.standard_normal(n)
    out = np.empty(n)
    level = 0.0
    for i, shock in enumerate(shocks):
        level = shock if i == 0 else phi * level + np.sqrt(1.0 - phi**2) * shock
        out[i] = level
    return out


def draw_promotions(rng: np.random.Generator, n: int) -> Series:
    """Return 1.0 in weeks of promotion, about one in six; shape (week,)."""
    return draw_runs(rng, n, Bursts((1, 2), (5, 9)))


def draw_price(rng: np.random.Generator, n: int, list_price: float, promo: Series) -> Series:
    """Return the price, to two decimals: slow moves of 3 % around the list price, 3 % less in a promotion."""
    return np.round(list_price * (1.0 + 0.03 * draw_ar1(rng, n, 0.7) - 0.03 * promo), 2)


def draw_temperature(rng: np.random.Generator, mondays: list[date]) -> Series:
    """Return weekly temperatures, in degrees Celsius, coldest in mid January; one decimal; shape (week,)."""
    day = np.array([m.timetuple().tm_yday for m in mondays], dtype=float)
    year = -9.0 * np.cos(2.0 * np.pi * (day - 15.0) / 365.25)
    return np.round(11.0 + year + 2.0 * draw_ar1(rng, len(mondays), 0.5), 1)


def draw_spend(rng: np.random.Generator, channel: Channel, size: float, demand: Series, confounding: float) -> Series:
    """Return a channel's weekly spend before events.

    The plan is the usual spend, times the demand index to the power of
    ``follows * confounding``, in the weeks that are on; what is spent scatters around it.

    Parameters
    ----------
    demand : ndarray, shape (week,)
        Demand that can be foreseen, 1 in a usual week.

    Returns
    -------
    ndarray, shape (week,)
        Money, never negative.
    """
    # Two independent halves of one stream: the number of runs drawn must not move the scatter.
    flights, scatter = rng.spawn(2)
    n = len(demand)
    on = np.ones(n) if channel.bursts is None else draw_runs(flights, n, channel.bursts)
    plan = channel.spend * size * demand ** (channel.follows * confounding)
    # A planner keeps to the budget: no week scatters by more than two standard deviations.
    z = np.clip(scatter.standard_normal(n), -2.0, 2.0)
    return on * plan * np.exp(channel.spread * z - 0.5 * channel.spread**2)


def draw_noise(rng: np.random.Generator, n: int, sd: float, nu: float | None) -> Series:
    """Return noise of standard deviation ``sd``: Gaussian, or Student-t with ``nu`` > 2 degrees of freedom."""
    if nu is None:
        return sd * rng.standard_normal(n)
    return noise_scale(sd, nu) * rng.standard_t(nu, n)


def noise_scale(sd: float, nu: float | None) -> float:
    """Return the scale whose Student-t has this standard deviation: ``sd * sqrt((nu - 2) / nu)``."""
    return sd if nu is None else float(sd * np.sqrt((nu - 2.0) / nu))


def adstock_geometric(x: Series, alpha: float) -> Series:
    """Return ``sum_l alpha^l x[t - l] / sum_l alpha^l`` for lags 0 to 7; nothing was spent before the first week.

    Notes
    -----
    Jin et al. (2017), equation 2, normalised; pymc-marketing's ``GeometricAdstock(l_max=8)``.
    """
    weights = alpha ** np.arange(L_MAX)
    return np.convolve(x, weights / weights.sum())[: len(x)]


def saturate_logistic(x: Series | float, lam: float) -> Series:
    """Return ``(1 - exp(-lam x)) / (1 + exp(-lam x))``, pymc-marketing's ``LogisticSaturation``; 0 at 0, below 1."""
    decay = np.exp(-lam * np.asarray(x, dtype=float))
    return (1.0 - decay) / (1.0 + decay)
