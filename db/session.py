"""The door to the database: one short transaction at a time, its failures told in plain words."""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from db.models import Base

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_SECONDS = 10.0


class Store:
    """A database, SQLite or PostgreSQL, by its SQLAlchemy URL.

    read() and write() each give a session inside one transaction. On SQLite a write takes the write
    lock at its start (BEGIN IMMEDIATE), so that two writers queue at the door for at most
    busy_timeout seconds and never fail in the middle.
    """

    def __init__(self, url: str, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        connect_args: dict[str, Any] = {"timeout": busy_timeout} if self.is_sqlite else {}
        self.engine: Engine = create_engine(self.url, connect_args=connect_args, pool_pre_ping=not self.is_sqlite)
        self._begin = threading.local()
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", self._begin_sqlite)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to look things up with. Raises StoreError."""
        with self._transaction("BEGIN") as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are kept, all or none, when the block ends. Raises StoreError."""
        with self._transaction("BEGIN IMMEDIATE") as session:
            yield session

    def migrate(self) -> None:
        """Bring the tables up to this version of Assay. Raises StoreError."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._translated():
            self._begin.statement = "BEGIN IMMEDIATE"
            with self.engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _transaction(self, statement: str) -> Iterator[Session]:
        with self._translated():
            self._begin.statement = statement
            with self._sessions() as session, session.begin():
                yield session

    def _begin_sqlite(self, connection: Any) -> None:
        connection.exec_driver_sql(getattr(self._begin, "statement", "BEGIN"))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, DatabaseError) as error:
            raise _translate(error, self.url.database or str(self.url)) from error


def added(session: Session, row: Base) -> bool:
    """Insert the row now; False if another process took its unique key since it was looked for: that row stays."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event issues BEGIN itself
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _translate(error: DBAPIError, where: str) -> Exception:
    cause = error.orig
    text = str(cause)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError(
            f"Another program holds the database {where}. Close it, or wait a moment, and try again. "
            "Nothing was changed."
        )
    if code == sqlite3.SQLITE_READONLY:
        return StoreReadOnlyError(
            f"The database {where} can't be written to. Give this user write access to the file and its "
            "folder, or choose another folder with --home. Nothing was changed."
        )
    if code == sqlite3.SQLITE_FULL or getattr(cause, "errno", None) == errno.ENOSPC or "53100" in text:
        return StoreFullError(
            f"The disk that holds {where} is full. Free some space and try again. Nothing was changed."
        )
    if isinstance(error, OperationalError) or code:
        return StoreError(f"The database {where} failed: {text}. Nothing was changed.")
    return error
