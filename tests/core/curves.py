"""Response curves that are known in closed form, for tests of plans and experiments."""

import numpy as np

from evermix.core.response import Responses

FACTORS = np.concatenate([np.linspace(0.0, 1.0, 11), np.linspace(1.0, 1.5, 6)[1:]])


def saturating(spend, ceiling, half, draws=1):
    """Return curves ``ceiling * s / (half + s)``; ceiling and half are per channel, or per draw and channel."""
    spend = np.asarray(spend, dtype=float)
    ceiling, half = (np.broadcast_to(np.asarray(v, dtype=float), (draws, len(spend))) for v in (ceiling, half))
    at = np.outer(spend, FACTORS)[None]
    value = ceiling[..., None] * at / (half[..., None] + at)
    return Responses(tuple(f"c{i}" for i in range(len(spend))), spend, FACTORS, value)


def noisy(spend, ceiling, half, draws, seed, sd=0.3):
    """Return such curves with log-normal ceilings, independent from draw to draw."""
    random = np.random.default_rng(seed)
    drawn = np.asarray(ceiling) * np.exp(sd * random.standard_normal((draws, len(spend))))
    return saturating(spend, drawn, half, draws)
