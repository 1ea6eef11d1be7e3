"""What tests share: a real store (SQLite always, PostgreSQL too), its owner, and free ports."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from db.models import User
from db.session import Store

if TYPE_CHECKING:
    from tests.experts import Family

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread each: threads that wait for each other's cores cost most
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated SQLite file."""
    store = Store(f"sqlite:///{tmp_path / 'assay.db'}", busy_timeout=2)
    store.migrate()
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same on both databases: for tests of everything that speaks SQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'assay.db'}"
    else:
        url = _fresh_database(request.getfixturevalue("postgresql_port"))
    store = Store(url, busy_timeout=2)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def owner_id(store: Store) -> int:
    return add_user(store, "owner", "admin")


def add_user(store: Store, name: str, role: str) -> int:
    with store.write() as session:
        user = User(name=name, role=role)
        session.add(user)
        session.flush()
        return user.id


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql_port() -> Iterator[int]:
    """A real PostgreSQL server of this session's own, from Debian's binaries (make test installs them)."""
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    binaries = _postgresql_binaries()
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data, port = folder / "data", free_port()
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-U", "assay", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    control = [*as_user, binaries / "pg_ctl", "-D", data, "-w"]
    options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
    subprocess.run(
        [*control, "-o", options, "-l", folder / "log", "start"], check=True, capture_output=True, cwd=folder
    )
    yield port
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder)
    shutil.rmtree(folder, ignore_errors=True)


def _postgresql_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    assert on_path, "PostgreSQL's server is missing: run the tests with `make test`, which installs it"
    return Path(on_path).parent


def _fresh_database(port: int) -> str:
    import psycopg

    with psycopg.connect(f"host=127.0.0.1 port={port} user=assay dbname=postgres", autocommit=True) as connection:
        name = f"assay_{connection.execute('select count(*) from pg_database').fetchone()[0]}"
        connection.execute(f"create database {name}")
    return f"postgresql+psycopg://assay@127.0.0.1:{port}/{name}"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real model: tests.tiny says what it is."""
    from tests.tiny import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> "Family":
    """A tiny base and two experts of it: tests.experts says what they are. Not to be changed."""
    from tests.experts import make_family

    return make_family(tmp_path_factory.mktemp("family"))


@pytest.fixture
def experts(family: "Family", tmp_path: Path) -> "Family":
    """Copies of the family, to be damaged."""
    from tests.experts import copied

    return copied(family, tmp_path / "experts")
