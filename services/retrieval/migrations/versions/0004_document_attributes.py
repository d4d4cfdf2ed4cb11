"""The metadata of documents, value by value, so that a filter reads an index and not every document of a store."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    table = op.create_table(
        "document_attributes",
        sa.Column("document_id", sa.String(64), sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("store_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("number", sa.Float),
    )
    op.create_index("document_attributes_by_text", "document_attributes", ["store_id", "key", "kind", "text"])
    op.create_index("document_attributes_by_number", "document_attributes", ["store_id", "key", "kind", "number"])
    rows = op.get_bind().execute(sa.text("SELECT id, store_id, metadata FROM documents"))
    for document_id, store_id, metadata in rows.all():
        held = json.loads(metadata) if isinstance(metadata, str) else metadata
        found = [
            {"document_id": document_id, "store_id": store_id, "key": key, **_value(value)}
            for key, value in held.items()
        ]
        if found:
            op.bulk_insert(table, found)


def _value(value: object) -> dict[str, object]:
    if isinstance(value, str):
        return {"kind": "text", "text": value, "number": None}
    return {"kind": "boolean" if isinstance(value, bool) else "number", "text": None, "number": float(value)}  # type: ignore[arg-type]


def downgrade() -> None:
    op.drop_table("document_attributes")
