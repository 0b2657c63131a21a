"""Versions as MLflow sees them: runs, registered versions, tags, aliases.  The only home of mlflow.

The registry is a projection for people and servers.  The history in git is the truth,
so everything here can be repeated, compared with the truth and repaired from it.
"""

from evermix.engines.registry.client import Registry
from evermix.engines.registry.model import MODEL_FILES, WEIGHTS
from evermix.engines.registry.session import make_database

__all__ = ["MODEL_FILES", "WEIGHTS", "Registry", "make_database"]
