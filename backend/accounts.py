"""People who sign in: their names, roles and passwords. Local mode's owner is in backend.users."""

from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from backend.types import checked_text
from db.models import User
from db.session import Store

MAX_NAME_CHARACTERS = 100
PASSWORD_CHARACTERS = (8, 1000)


class Role(StrEnum):
    """What a person may do. Each may do what the ones after it may."""

    ADMIN = "admin"
    LEAD = "lead"
    ANNOTATOR = "annotator"


RANKS = {Role.ANNOTATOR: 0, Role.LEAD: 1, Role.ADMIN: 2}


@dataclass(frozen=True)
class Person:
    """signs_in: has a password."""

    id: int
    name: str
    role: Role
    signs_in: bool


class Accounts:
    """Makes people and knows them again. Raises StoreError where the database fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hasher = PasswordHasher()

    def add(self, name: str, password: str, role: str) -> Person:
        """A new person. password: 8 to 1,000 characters; only its argon2id hash is kept.

        Raises InvalidInputError, and ConflictError if somebody has this name, whatever its case.
        """
        tidy = " ".join(checked_text("The name", name).split())
        if len(tidy) > MAX_NAME_CHARACTERS:
            raise InvalidInputError(f"The name has {len(tidy)} characters; at most {MAX_NAME_CHARACTERS} are accepted.")
        if role not in list(Role):
            raise InvalidInputError(f"The role is {role[:40]!r}; it must be one of {', '.join(Role)}.")
        hashed = self._hasher.hash(_checked_password(password))
        taken = ConflictError(f"There is a person named {tidy!r} already. Choose another name.")
        with self._store.write() as session:
            if session.scalar(select(User.id).where(func.lower(User.name) == tidy.lower())) is not None:
                raise taken
            user = User(name=tidy, role=role, password_hash=hashed)
            try:
                with session.begin_nested():
                    session.add(user)
            except IntegrityError as error:
                raise taken from error
            return _person(user)

    def sign_in(self, name: str, password: str) -> Person | None:
        """The person of this name, if that is their password; None otherwise, after the same time."""
        with self._store.read() as session:
            user = session.scalar(select(User).where(User.name == " ".join(name.split())))
        hashed = None if user is None else user.password_hash
        if user is None or hashed is None:
            self._hasher.hash("nobody's password")
            return None
        try:
            self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return None
        return _person(user)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._store.read() as session:
            return [_person(user) for user in session.scalars(select(User).order_by(func.lower(User.name), User.id))]

    def named(self, name: str) -> Person:
        """Raises NotFoundError."""
        with self._store.read() as session:
            user = session.scalar(select(User).where(User.name == name))
        if user is None:
            raise NotFoundError(f"There is no person named {name!r}. `launch.py user list` names everybody.")
        return _person(user)


def require_role(session: Session, user_id: int, least: Role, to_do: str) -> User:
    """The person, if their role is `least` or above it. to_do: what they wanted, as in "make a project".

    Raises NotFoundError and NotAllowedError.
    """
    user = session.get(User, user_id)
    if user is None:
        raise NotFoundError(f"There is no person with the id {user_id}.")
    if RANKS[Role(user.role)] < RANKS[least]:
        raise NotAllowedError(
            f"{user.name} has the role {user.role}, and only a {least} or above may {to_do}. Ask one of them."
        )
    return user


def _checked_password(password: str) -> str:
    low, high = PASSWORD_CHARACTERS
    checked_text("The password", password)
    if not low <= len(password) <= high:
        raise InvalidInputError(f"The password has {len(password)} characters; it must have {low} to {high:,}.")
    return password


def _person(user: User) -> Person:
    return Person(user.id, user.name, Role(user.role), user.password_hash is not None)
