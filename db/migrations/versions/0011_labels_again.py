"""an index to find the labels on items that came back

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    again = sa.text("round = 2")
    op.create_index("ix_labels_again", "labels", ["project_item_id"], sqlite_where=again, postgresql_where=again)
