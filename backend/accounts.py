"""People who sign in: their names, roles and passwords. Local mode's owner is in backend.users, sessions in sign_in."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.types import checked_text
from db.models import SignIn, User, now
from db.queries import user_named
from db.session import Store, added

MAX_NAME_CHARACTERS = 100
PASSWORD_CHARACTERS = (8, 1000)
HASHES_AT_ONCE = 2
"""Each takes 64 MB and a core for a moment: many tries at once must not take all of both."""


class Role(StrEnum):
    """What a person may do. Each may do what the ones after it may."""

    ADMIN = "admin"
    LEAD = "lead"
    ANNOTATOR = "annotator"


RANKS = {Role.ANNOTATOR: 0, Role.LEAD: 1, Role.ADMIN: 2}

Permit = Callable[[int], None]
"""Raises NotAllowedError for the id of a person who may not do what it guards, and NotFoundError for nobody's."""


@dataclass(frozen=True)
class Person:
    """signs_in: has a password and is not kept from using it. disabled: is kept from it."""

    id: int
    name: str
    role: Role
    signs_in: bool
    disabled: bool = False

    def may(self, least: Role) -> bool:
        """Whether the role is `least` or above it."""
        return RANKS[self.role] >= RANKS[least]


class Accounts:
    """Makes people, changes what they may, and knows them again. by_id: the admin who does it.

    All raise NotAllowedError for who is no admin, and StoreError where the database fails.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hasher = PasswordHasher()
        self._hashing = threading.Semaphore(HASHES_AT_ONCE)

    def add(self, name: str, password: str, role: str, by_id: int) -> Person:
        """A new person. password: 8 to 1,000 characters; only its argon2id hash is kept.

        Raises InvalidInputError, and ConflictError if somebody has this name, whatever its case.
        """
        tidy = tidy_name(checked_text("The name", name))
        if len(tidy) > MAX_NAME_CHARACTERS:
            raise InvalidInputError(f"The name has {len(tidy)} characters; at most {MAX_NAME_CHARACTERS} are accepted.")
        checked = _checked_role(role)
        hashed = self._hash(_checked_password(password))
        with self._changing(by_id) as session:
            user = User(name=tidy, role=checked, password_hash=hashed)
            if user_named(session, tidy) is not None or not added(session, user):
                raise ConflictError(f"There is a person named {tidy!r} already. Choose another name.")
            return person_of(user)

    def set_role(self, user_id: int, role: str, by_id: int) -> Person:
        """From now on, also where they are signed in.

        Raises InvalidInputError, NotFoundError, and ConflictError if no admin would be left.
        """
        checked = _checked_role(role)
        with self._changing(by_id) as session:
            user = _user(session, user_id)
            if checked is not Role.ADMIN:
                _require_other_admin(session, user)
            user.role = checked
            return person_of(user)

    def set_password(self, user_id: int, password: str, by_id: int) -> Person:
        """A new password, told to nobody; they are signed out everywhere. Raises InvalidInputError, NotFoundError."""
        hashed = self._hash(_checked_password(password))
        with self._changing(by_id) as session:
            user = _user(session, user_id)
            user.password_hash = hashed
            _sign_out(session, user)
            return person_of(user)

    def set_disabled(self, user_id: int, disabled: bool, by_id: int) -> Person:
        """Keep somebody from signing in, and sign them out everywhere, or let them in again. Nothing of theirs is lost.

        Raises NotFoundError, and ConflictError if no admin would be left.
        """
        with self._changing(by_id) as session:
            user = _user(session, user_id)
            if disabled:
                _require_other_admin(session, user)
                _sign_out(session, user)
            user.disabled_at = now() if disabled else None
            return person_of(user)

    def verified(self, name: str, password: str) -> Person | None:
        """The person of this name, if that is their password; None otherwise, after the same time."""
        with self._store.read() as session:
            user = session.scalar(select(User).where(User.name == tidy_name(name)))
        if user is None or user.password_hash is None:
            self._hash("nobody's password")
            return None
        try:
            with self._hashing:
                self._hasher.verify(user.password_hash, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return None
        return None if user.disabled_at else person_of(user)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._store.read() as session:
            return [person_of(user) for user in session.scalars(select(User).order_by(func.lower(User.name), User.id))]

    def named(self, name: str) -> Person:
        """Raises NotFoundError."""
        with self._store.read() as session:
            user = session.scalar(select(User).where(User.name == name))
        if user is None:
            raise NotFoundError(f"There is no person named {name!r}. `launch.py user list` names everybody.")
        return person_of(user)

    def require(self, user_id: int, least: Role, to_do: str) -> Person:
        """As require_role, in a transaction of its own: for services that keep nothing in the database themselves."""
        with self._store.read() as session:
            return person_of(require_role(session, user_id, least, to_do))

    def permit(self, least: Role, to_do: str) -> Permit:
        """Of what require would let through."""

        def check(user_id: int) -> None:
            self.require(user_id, least, to_do)

        return check

    @contextmanager
    def _changing(self, by_id: int) -> Iterator[Session]:
        with self._store.write() as session:
            require_role(session, by_id, Role.ADMIN, "change who may sign in")
            yield session

    def _hash(self, password: str) -> str:
        with self._hashing:
            return self._hasher.hash(password)


def require_role(session: Session, user_id: int, least: Role, to_do: str) -> User:
    """The person, if their role is `least` or above it. to_do: what they wanted, as in "make a project".

    Raises NotFoundError and NotAllowedError.
    """
    user = _user(session, user_id)
    if RANKS[Role(user.role)] < RANKS[least]:
        those = "an admin" if least is Role.ADMIN else f"a {least} or above"
        raise NotAllowedError(f"{user.name} has the role {user.role}, and only {those} may {to_do}. Ask one of them.")
    return user


def may(session: Session, user_id: int, least: Role) -> bool:
    """Whether the person's role is `least` or above it. Raises NotFoundError."""
    return RANKS[Role(_user(session, user_id).role)] >= RANKS[least]


def tidy_name(name: str) -> str:
    return " ".join(name.split())


def person_of(user: User) -> Person:
    disabled = user.disabled_at is not None
    return Person(user.id, user.name, Role(user.role), user.password_hash is not None and not disabled, disabled)


def _user(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFoundError(f"There is no person with the id {user_id}.")
    return user


def _require_other_admin(session: Session, user: User) -> None:
    """Whoever is the last admin who can sign in stays one."""
    others = select(User.id).where(
        User.id != user.id, User.role == Role.ADMIN, User.password_hash.is_not(None), User.disabled_at.is_(None)
    )
    if user.role == Role.ADMIN and user.password_hash is not None and session.scalar(others.limit(1)) is None:
        raise ConflictError(f"{user.name} is the last admin who can sign in. Make somebody else an admin first.")


def _sign_out(session: Session, user: User) -> None:
    session.execute(delete(SignIn).where(SignIn.user_id == user.id))


def _checked_role(role: str) -> Role:
    if role not in list(Role):
        raise InvalidInputError(f"The role is {role[:40]!r}; it must be one of {', '.join(Role)}.")
    return Role(role)


def _checked_password(password: str) -> str:
    low, high = PASSWORD_CHARACTERS
    checked_text("The password", password)
    if not low <= len(password) <= high:
        raise InvalidInputError(f"The password has {len(password)} characters; it must have {low} to {high:,}.")
    return password
