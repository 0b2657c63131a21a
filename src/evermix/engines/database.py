"""SQLAlchemy: an engine for a URL as people write it.  For whoever reads or writes a database of a team."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


def parse_url(url: str) -> sa.URL:
    """Return a URL with a driver that evermix comes with: to SQLAlchemy 2.1 the bare ``postgresql`` means psycopg 3."""
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    bare = parsed.drivername in ("postgresql", "postgres")
    return parsed.set(drivername="postgresql+psycopg2") if bare else parsed


def make_engine(url: sa.URL, **options: Any) -> sa.Engine:
    """Return an engine that keeps no connection open: one question, or one write, and it is done."""
    import sqlalchemy as sa

    return sa.create_engine(url, poolclass=sa.NullPool, **options)


def said_by(err: Exception) -> str:
    """Return in one line, of at most 300 characters, what the database said."""
    return " ".join(str(getattr(err, "orig", None) or err).split())[:300]
