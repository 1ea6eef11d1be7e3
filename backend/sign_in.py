"""Who is signed in: a secret that a browser shows with every request, given for a name and its password."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from backend.accounts import Accounts, Person, person_of, tidy_name
from backend.errors import NotAllowedError, SlowDownError
from db.models import SignIn, User, now
from db.session import Store

DAYS = 14
"""After which a person signs in again."""
FREE_TRIES = 5
MOST_DOUBLINGS = 6
"""Of the wait in seconds: at most about a minute."""
REMEMBERED_NAMES = 10_000


class SignIns:
    """Signs people in and out. All raise StoreError where the database fails.

    clock: seconds, for the waits after wrong passwords.
    """

    def __init__(self, store: Store, accounts: Accounts, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._accounts = accounts
        self._tries = _Tries(clock)

    def sign_in(self, name: str, password: str) -> str:
        """The secret of a new session, for DAYS days. Raises what checked raises."""
        person = self.checked(name, password)
        token = secrets.token_urlsafe(32)
        with self._store.write() as session:
            session.execute(delete(SignIn).where(SignIn.expires_at <= now()))
            expires_at = now() + timedelta(days=DAYS)
            session.add(SignIn(token_digest=_digest(token), user_id=person.id, expires_at=expires_at))
        return token

    def checked(self, name: str, password: str) -> Person:
        """Whose name and password these are, without a session.

        Raises NotAllowedError, in the same words whatever was wrong, and SlowDownError while the name waits.
        """
        self._tries.begin(name)
        person = self._accounts.verified(name, password)
        if person is None:
            raise NotAllowedError("This name and this password don't belong together. An admin can set a new password.")
        self._tries.succeeded(name)
        return person

    def person(self, token: str) -> Person | None:
        """Whom the secret belongs to; None if it is not known, has expired, or they may not sign in any more."""
        query = select(User).join(SignIn, SignIn.user_id == User.id)
        mine = (SignIn.token_digest == _digest(token), SignIn.expires_at > now(), User.disabled_at.is_(None))
        with self._store.read() as session:
            user = session.scalar(query.where(*mine))
            return None if user is None else person_of(user)

    def sign_out(self, token: str) -> None:
        """End this one session; others of the same person go on."""
        with self._store.write() as session:
            session.execute(delete(SignIn).where(SignIn.token_digest == _digest(token)))

    def anybody(self) -> bool:
        """Whether there is anybody who could sign in."""
        return any(person.signs_in for person in self._accounts.people())


@dataclass
class _Failures:
    """Of one name, since its last right password. again_at: when the next try is looked at."""

    count: int = 0
    again_at: float = 0.0


class _Tries:
    """After some wrong passwords for a name each next one has to wait, twice as long as the one before.

    Names that nobody has wait too, or the wait would tell who exists.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._names: dict[str, _Failures] = {}

    def begin(self, name: str) -> None:
        """Counts the try as a wrong one until succeeded(): many at once are not all looked at. Raises SlowDownError."""
        with self._guard:
            failures = self._names.pop(_key(name), _Failures())
            left = failures.again_at - self._clock()
            if left <= 0:
                failures.count += 1
                if failures.count >= FREE_TRIES:
                    failures.again_at = self._clock() + 2.0 ** min(failures.count - FREE_TRIES, MOST_DOUBLINGS)
            self._names[_key(name)] = failures
            while len(self._names) > REMEMBERED_NAMES:
                del self._names[next(iter(self._names))]
        if left > 0:
            raise SlowDownError(
                f"There were {failures.count} wrong passwords for this name. Try again in {int(left) + 1} seconds."
            )

    def succeeded(self, name: str) -> None:
        with self._guard:
            self._names.pop(_key(name), None)


def _key(name: str) -> str:
    return tidy_name(name).lower()[:200]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
