"""evermix keeps Bayesian models, marketing-mix models above all, true from week to week in production."""

__version__ = "0.1.0"
