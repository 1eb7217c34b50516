"""The column dictionary: every frame's columns as a Markdown page (`docs/columns.md` is its output)."""

from __future__ import annotations

from finops_ai.frames.bills import BillFrame
from finops_ai.frames.check import schema_of
from finops_ai.frames.prices import PriceFrame
from finops_ai.frames.tokens import TokenFrame
from finops_ai.meters import meters


def describe_frames() -> str:
    """All frames and meters as Markdown: column, type, unit, FOCUS or OpenTelemetry counterpart, meaning."""
    parts = [
        "# Columns and meters",
        "",
        "Generated from the frame models by `python -m finops_ai.frames.dictionary`; a test says when it is stale.",
        "A column marked \\* is never null.",
    ]
    for model in (TokenFrame, BillFrame, PriceFrame):
        schema = model.to_schema()
        kinds = schema_of(model)
        head = (model.__doc__ or "").strip().split("\n")[0]
        parts += [
            "",
            f"## {model.__name__}",
            "",
            head,
            "",
            "| column | type | unit | FOCUS / OpenTelemetry | meaning |",
            "|---|---|---|---|---|",
        ]
        for name, column in schema.columns.items():
            meta = column.metadata or {}
            star = "" if column.nullable else " \\*"
            kind = str(kinds.field(name).type).replace("<", "&lt;").replace(">", "&gt;")
            parts.append(
                f"| `{name}`{star} | {kind} | {meta.get('unit', '')} | {meta.get('counterpart', '')} | {column.description} |"
            )
    parts += [
        "",
        "## Meters",
        "",
        "| meter | unit | direction | modality | cache | counted in | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    for m in meters().values():
        cached = " ".join(filter(None, [m.cache_action, m.cache_ttl]))
        parts.append(
            f"| `{m.name}` | {m.unit} | {m.direction} | {m.modality} | {cached} | {m.roll_up} | {m.description} |"
        )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    from pathlib import Path

    Path("docs/columns.md").write_text(describe_frames(), encoding="utf-8")
