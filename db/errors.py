"""What can go wrong with the store, told so that a person can mend it."""


class StoreError(Exception):
    """The database could not do what was asked; nothing was changed."""


class StoreBusyError(StoreError):
    """Another process held the write lock longer than the busy timeout."""


class StoreReadOnlyError(StoreError):
    """The database file, or the folder around it, does not accept writes."""


class StoreFullError(StoreError):
    """The disk that holds the database is full."""
