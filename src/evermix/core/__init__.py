"""Nouns: pure functions of arrays and tables; no file, clock, network or framework."""
