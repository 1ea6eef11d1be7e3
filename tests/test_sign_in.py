"""Signing in: sessions that can be ended, wrong passwords that have to wait, and admins who can't lock all out."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from backend.accounts import Accounts, Role
from backend.errors import ConflictError, NotAllowedError, SlowDownError
from backend.sign_in import FREE_TRIES, SignIns
from backend.users import owner
from db.models import SignIn, now
from db.session import Store

PASSWORD = "correct horse"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def accounts(any_store: Store) -> Accounts:
    accounts = Accounts(any_store)
    accounts.add("Ada", PASSWORD, "admin", owner(any_store))
    accounts.add("Bob", PASSWORD, "annotator", owner(any_store))
    return accounts


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sign_ins(any_store: Store, accounts: Accounts, clock: Clock) -> SignIns:
    return SignIns(any_store, accounts, clock)


def test_a_session_lasts_until_it_is_ended_and_others_go_on(sign_ins: SignIns) -> None:
    first, second = sign_ins.sign_in(" Bob ", PASSWORD), sign_ins.sign_in("Bob", PASSWORD)
    assert sign_ins.person(first).name == "Bob"
    sign_ins.sign_out(first)
    assert sign_ins.person(first) is None
    assert sign_ins.person(second).role is Role.ANNOTATOR


def test_the_store_holds_no_secret_that_signs_in(sign_ins: SignIns, any_store: Store) -> None:
    token = sign_ins.sign_in("Bob", PASSWORD)
    with any_store.read() as session:
        (kept,) = session.scalars(select(SignIn.token_digest))
        assert session.execute(text("SELECT count(*) FROM sign_ins")).scalar_one() == 1
    assert kept != token
    assert sign_ins.person(kept) is None


def test_a_session_ends_with_its_time_with_a_new_password_and_with_a_disabled_account(
    sign_ins: SignIns, accounts: Accounts, any_store: Store
) -> None:
    bob, ada = accounts.named("Bob"), accounts.named("Ada")
    token = sign_ins.sign_in("Bob", PASSWORD)
    accounts.set_password(bob.id, "another horse", ada.id)
    assert sign_ins.person(token) is None
    token = sign_ins.sign_in("Bob", "another horse")
    accounts.set_disabled(bob.id, True, ada.id)
    assert sign_ins.person(token) is None
    with pytest.raises(NotAllowedError, match="don't belong together"):
        sign_ins.sign_in("Bob", "another horse")
    accounts.set_disabled(bob.id, False, ada.id)
    token = sign_ins.sign_in("Bob", "another horse")
    with any_store.write() as session:
        session.execute(update(SignIn).values(expires_at=now() - timedelta(seconds=1)))
    assert sign_ins.person(token) is None


def test_a_changed_role_counts_in_sessions_that_are_there(sign_ins: SignIns, accounts: Accounts) -> None:
    token = sign_ins.sign_in("Bob", PASSWORD)
    accounts.set_role(accounts.named("Bob").id, "lead", accounts.named("Ada").id)
    assert sign_ins.person(token).role is Role.LEAD


@pytest.mark.parametrize("name", ["Bob", "nobody"])
def test_wrong_passwords_wait_twice_as_long_each_time(sign_ins: SignIns, clock: Clock, name: str) -> None:
    for _ in range(FREE_TRIES):
        with pytest.raises(NotAllowedError, match="don't belong together"):
            sign_ins.sign_in(name, "wrong horse")
    with pytest.raises(SlowDownError, match="5 wrong passwords for this name"):
        sign_ins.sign_in(name, PASSWORD)
    clock.seconds += 1
    with pytest.raises(NotAllowedError):
        sign_ins.sign_in(name, "wrong horse")
    clock.seconds += 1.9
    with pytest.raises(SlowDownError):
        sign_ins.sign_in(name.upper(), PASSWORD)


def test_the_right_password_after_the_wait_forgets_the_wrong_ones(sign_ins: SignIns, clock: Clock) -> None:
    for _ in range(FREE_TRIES):
        with pytest.raises(NotAllowedError):
            sign_ins.sign_in("Bob", "wrong horse")
    clock.seconds += 60
    assert sign_ins.sign_in("Bob", PASSWORD)
    with pytest.raises(NotAllowedError):
        sign_ins.sign_in("Bob", "wrong horse")
    assert sign_ins.sign_in("Bob", PASSWORD)


def test_only_an_admin_changes_who_may_sign_in(accounts: Accounts) -> None:
    bob, ada = accounts.named("Bob"), accounts.named("Ada")
    for change in (
        lambda: accounts.add("Eve", PASSWORD, "admin", bob.id),
        lambda: accounts.set_role(bob.id, "admin", bob.id),
        lambda: accounts.set_password(ada.id, "mine from now", bob.id),
        lambda: accounts.set_disabled(ada.id, True, bob.id),
    ):
        with pytest.raises(NotAllowedError, match="only an admin"):
            change()
    assert accounts.verified("Ada", PASSWORD) == ada


def test_the_last_admin_who_can_sign_in_stays_one(accounts: Accounts) -> None:
    bob, ada = accounts.named("Bob"), accounts.named("Ada")
    for change in (
        lambda: accounts.set_role(ada.id, "lead", ada.id),
        lambda: accounts.set_disabled(ada.id, True, ada.id),
    ):
        with pytest.raises(ConflictError, match="last admin"):
            change()
    accounts.set_role(bob.id, "admin", ada.id)
    assert accounts.set_role(ada.id, "lead", bob.id).role is Role.LEAD
