"""an audit stream and one of doubtful items, with sampling probabilities

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("audit_share", sa.Double(), nullable=True))
    op.add_column("projects", sa.Column("foremost", sa.String(length=20), nullable=True))
    for table in ("project_items", "labels"):
        op.add_column(table, sa.Column("stream", sa.String(length=20), nullable=True))
        op.add_column(table, sa.Column("sampling_probability", sa.Double(), nullable=True))
    op.create_index("ix_project_items_stream", "project_items", ["project_id", "stream", "order_key"])
