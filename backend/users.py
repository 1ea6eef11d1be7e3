"""People, so that every label has an author; local mode has one, the owner of this machine's store."""

from sqlalchemy import select

from db.models import User
from db.session import Store, added

OWNER_NAME = "owner"


def owner(store: Store) -> int:
    """The id of the implicit local owner (role admin), made at the first call. Raises StoreError.

    Two processes that start at once get the same one: whoever inserts second reads the first's row.
    """
    query = select(User.id).where(User.name == OWNER_NAME)
    with store.read() as session:
        found = session.scalar(query)
    if found is not None:
        return found
    with store.write() as session:
        added(session, User(name=OWNER_NAME, role="admin"))
        return session.scalars(query).one()
