"""One file per stage or verb: load, call core or engine, save."""
