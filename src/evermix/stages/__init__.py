"""One file per stage or verb: load, call core or engine, save.

Stages are pure functions of files and run inside DVC; verbs touch the world: source, clock, git, registry.
"""

# In the order of dvc.yaml; a contract test holds the two together.
STAGES = ("validate", "monitor", "decide", "fit", "evaluate", "gate")
