"""git and DVC: the history of every model.  The only home of both commands."""

from evermix.engines.history.clone import History
from evermix.engines.history.handover import end_open, share_open, take_open
from evermix.engines.history.outputs import configure_dvc, pull_outputs, push_outputs
from evermix.engines.history.refs import list_refs, read_branch_file, read_ref, write_ref

__all__ = [
    "History",
    "configure_dvc",
    "end_open",
    "list_refs",
    "pull_outputs",
    "push_outputs",
    "read_branch_file",
    "read_ref",
    "share_open",
    "take_open",
    "write_ref",
]
