"""indexes to find what is somebody's among a million verdicts

Revision: 0008, after 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_verdicts_created_by", "verdicts", ["created_by_id"])
    op.create_index("ix_labels_author", "labels", ["author_id"])
    op.create_index("ix_reveals_user", "reveals", ["user_id"])
