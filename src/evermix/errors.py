"""Every error that evermix raises on purpose, and the exit code of each.

A message says where, what, which value, which rule, and what to do.  Only
``ServiceError`` is worth a retry: the others stay wrong until a person acts.
"""


class EvermixError(Exception):
    """Root of the tree.  Exit code 1 is kept for bugs, so no class here has it."""

    exit_code = 1


class ConfigError(EvermixError):
    """``params.yaml``, a command's arguments or the environment break a rule."""

    exit_code = 2


class DataError(EvermixError):
    """A table, outside the weekly loop, breaks its contract (inside, it is a quarantine)."""

    exit_code = 3


class FitError(EvermixError):
    """A model could not be built or sampled, so nothing can be said about it."""

    exit_code = 4


class StoreError(EvermixError):
    """Files, git history, DVC cache or ledger are missing, locked or not what was recorded."""

    exit_code = 5


class ServiceError(EvermixError):
    """A server or a source outside this process did not answer.  Retried."""

    exit_code = 6


class NotDelivered(ServiceError):
    """A source's place answered, and there is nothing: not delivered yet."""
