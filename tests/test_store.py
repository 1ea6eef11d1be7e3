"""The database's door: migrations, transactions, and its failures told plainly."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from db.errors import StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError
from db.models import Base, User
from db.session import Store, added
from tests.conftest import add_user


def test_migrations_make_exactly_the_tables_that_the_models_describe(any_store: Store) -> None:
    with any_store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_twice_changes_nothing(any_store: Store) -> None:
    add_user(any_store, "owner", "admin")
    any_store.migrate()
    with any_store.read() as session:
        assert session.query(User).count() == 1


def test_sqlite_has_wal_and_foreign_keys_on(store: Store) -> None:
    with store.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_an_error_inside_a_write_rolls_all_of_it_back(any_store: Store) -> None:
    with pytest.raises(RuntimeError), any_store.write() as session:
        session.add(User(name="nobody", role="admin"))
        session.flush()
        raise RuntimeError
    with any_store.read() as session:
        assert session.query(User).count() == 0


def test_a_row_that_another_process_has_added_stays_and_the_transaction_goes_on(any_store: Store) -> None:
    add_user(any_store, "owner", "admin")
    with any_store.write() as session:
        assert not added(session, User(name="owner", role="lead"))
        assert added(session, User(name="ann", role="lead"))
    with any_store.read() as session:
        assert {user.name: user.role for user in session.query(User)} == {"owner": "admin", "ann": "lead"}


def test_moments_come_back_aware_and_in_utc(any_store: Store) -> None:
    add_user(any_store, "owner", "admin")
    with any_store.read() as session:
        created = session.query(User).one().created_at
    assert created.utcoffset() is not None
    assert created.utcoffset().total_seconds() == 0


def test_two_writers_queue_at_the_door(store: Store) -> None:
    threads = [threading.Thread(target=add_user, args=(store, f"user {n}", "annotator")) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        assert session.query(User).count() == 16


def test_a_locked_database_is_named_as_busy_and_nothing_changes(store: Store, tmp_path: Path) -> None:
    impatient = Store(str(store.url), busy_timeout=0.1)
    holder = sqlite3.connect(tmp_path / "assay.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="try again"):
        add_user(impatient, "late", "admin")
    holder.execute("ROLLBACK")
    holder.close()
    impatient.close()
    with store.read() as session:
        assert session.query(User).count() == 0


def test_a_read_only_database_says_so_with_the_cure(store: Store, tmp_path: Path) -> None:
    reader = Store(f"sqlite:///file:{tmp_path / 'assay.db'}?mode=ro&uri=true")
    with pytest.raises(StoreReadOnlyError, match="--home"):
        add_user(reader, "late", "admin")
    reader.close()


def test_a_full_disk_says_so_and_nothing_changes(store: Store) -> None:
    with store.read() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar()
    store.engine.dispose()

    with store.engine.connect() as connection:  # the pool hands the same connection to the write below
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFullError, match="full"), store.write() as session:
        session.add_all(User(name=f"user {n} " + "x" * 80, role="admin") for n in range(2000))
    with store.read() as session:
        assert session.query(User).count() == 0


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are my notes, not a database\n" * 50)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(StoreError, match=r"notes\.db"):
        store.migrate()
    store.close()
    assert path.read_text().startswith("these are my notes")


def test_tables_are_named_with_the_words_of_the_design(store: Store) -> None:
    tables = set(inspect(store.engine).get_table_names())
    assert {"rubrics", "items", "judges", "verdicts", "labels", "model_versions"} <= tables
