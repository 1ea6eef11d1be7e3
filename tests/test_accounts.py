"""People: who may sign in, with which password, and what their role covers."""

import pytest
from sqlalchemy import text

from backend.accounts import Accounts, Role, require_role
from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.users import owner
from db.session import Store


def test_a_person_signs_in_with_their_password_and_with_no_other(any_store: Store) -> None:
    accounts = Accounts(any_store)
    ada = accounts.add("  Ada  Lovelace ", "correct horse", "annotator", owner(any_store))
    assert (ada.name, ada.role, ada.signs_in) == ("Ada Lovelace", Role.ANNOTATOR, True)
    assert accounts.verified("Ada Lovelace", "correct horse") == ada
    for name, password in [("Ada Lovelace", "correct hors"), ("ada", "correct horse"), ("Ada Lovelace", "\ud800")]:
        assert accounts.verified(name, password) is None


def test_the_store_holds_no_password(store: Store) -> None:
    Accounts(store).add("Ada", "correct horse", "lead", owner(store))
    with store.read() as session:
        (kept,) = session.execute(text("SELECT password_hash FROM users WHERE name = 'Ada'")).one()
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept


def test_the_local_owner_can_not_sign_in(store: Store) -> None:
    owner(store)
    accounts = Accounts(store)
    assert accounts.verified("owner", "") is None
    assert [person.signs_in for person in accounts.people()] == [False]


def test_a_name_is_taken_once_whatever_its_case(any_store: Store) -> None:
    accounts = Accounts(any_store)
    accounts.add("Ada", "correct horse", "lead", owner(any_store))
    with pytest.raises(ConflictError, match="ada"):
        accounts.add("ada", "another horse", "lead", owner(any_store))
    with pytest.raises(NotFoundError, match="user list"):
        accounts.named("Bob")


@pytest.mark.parametrize(
    ("name", "password", "role", "said"),
    [
        (" ", "correct horse", "lead", "name is empty"),
        ("x" * 101, "correct horse", "lead", "101 characters"),
        ("Ada", "short", "lead", "5 characters"),
        ("Ada", "correct horse", "king", "'king'"),
    ],
)
def test_what_can_not_be_a_person_is_refused_with_the_value(
    store: Store, name: str, password: str, role: str, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Accounts(store).add(name, password, role, owner(store))
    assert [person.name for person in Accounts(store).people()] == ["owner"]


def test_a_role_covers_what_the_lower_ones_may(store: Store) -> None:
    accounts = Accounts(store)
    ids = {role: accounts.add(role, "correct horse", role, owner(store)).id for role in Role}
    with store.read() as session:
        assert require_role(session, ids[Role.ADMIN], Role.LEAD, "make a project").name == "admin"
        assert require_role(session, ids[Role.LEAD], Role.LEAD, "make a project").name == "lead"
        with pytest.raises(NotAllowedError, match="only a lead or above may make a project"):
            require_role(session, ids[Role.ANNOTATOR], Role.LEAD, "make a project")
        with pytest.raises(NotFoundError):
            require_role(session, 99, Role.LEAD, "make a project")
