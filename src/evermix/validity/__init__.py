"""The replicate study: how often the shipped rules err, how soon they see a change, how exact an update is.

``replicate`` plays one simulated year, ``surrogate`` and ``chains`` are two posteriors behind one interface,
``policy`` asks the shipped rules each week, ``study`` runs and resumes shards, ``publish`` writes ``docs/validity.md``.
"""
