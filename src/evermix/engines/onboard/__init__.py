"""Recognises what a stranger's table holds and writes it as blocks of a model entry."""

from evermix.engines.onboard.recognise import Recognised, as_of_range, recognise

__all__ = ["Recognised", "as_of_range", "recognise"]
