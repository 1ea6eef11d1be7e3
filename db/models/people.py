"""People, and the browsers and programs in which they are signed in."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, now


class User(Base):
    """A person. Local mode has one, the owner of this machine's store."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    """admin, lead or annotator."""
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """Argon2id with its salt and settings; null for who can't sign in, such as the local owner."""
    disabled_at: Mapped[datetime | None]
    """Since when they can't sign in any more; what they said stays theirs."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class SignIn(Base):
    """A browser or a program in which a person is signed in."""

    __tablename__ = "sign_ins"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of what the browser shows: who reads the database can't sign in with it."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
