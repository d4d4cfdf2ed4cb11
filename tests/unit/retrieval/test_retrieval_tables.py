"""Tables in a document's text, and numbers over them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.contracts.tables import TableQuery
from sluice_retrieval.adapters.duck import DuckTables
from sluice_retrieval.adapters.extract.markdown import rows
from sluice_retrieval.domain.errors import TableQueryInvalid, TableQueryTooLarge
from sluice_retrieval.domain.tables import Computed, Table, describe, tables_in

TEXT = """# Sheet Prices

- Item; Euro; Sold; In stock; Note

- Item: Bolt; Euro: 2.50; Sold: 2026-01-05; In stock: yes

- Item: Nut; Euro: 1,000; Sold: 2026-02-05; In stock: no; Note: rare; very rare

- Item: Bolt; Euro: 3.50; In stock: yes

# Sheet Staff

- Name; Age

- Name: Ann; Age: 41

Some words.

- a list
- of things
"""
ENGINE = DuckTables(256, 5.0)


def ask(table: Table, **query: Any) -> Computed:
    return asyncio.run(ENGINE.compute(table, TableQuery.model_validate(query)))


def test_tables_are_read_with_their_kinds_and_their_characters() -> None:
    prices, staff = tables_in(TEXT)
    assert (prices.name, prices.columns) == ("Sheet Prices", ("Item", "Euro", "Sold", "In stock", "Note"))
    assert prices.kinds == ("text", "number", "date", "boolean", "text")
    assert [row.cells[4] for row in prices.rows] == [None, "rare; very rare", None]
    assert TEXT[prices.rows[1].start : prices.rows[1].end].startswith("- Item: Nut; Euro: 1,000")
    assert (staff.name, [row.cells for row in staff.rows]) == ("Sheet Staff", [("Ann", "41")])
    assert tables_in("- a list\n- of things\n\nText: more") == []


@pytest.mark.parametrize(
    ("written", "kind", "total"),
    [
        (("2,50", "1.000,75", "12"), "number", 1015.25),
        (("€ 3", "€ 4.5"), "number", 7.5),
        (("1.200,00 €", "300,00 €"), "number", 1500),
        (("12%", "-3%"), "number", 9),
        (("1,000", "2,500"), "number", 3500),
        (("$3", "€4"), "text", None),
        (("1,5", "soon"), "text", None),
    ],
)
def test_numbers_with_a_decimal_comma_or_one_unit_are_numbers(written: Sequence[str], kind: str, total: float) -> None:
    text = "\n\n".join(rows([("Item", "Price"), *(("x", one) for one in written)]))
    [table] = tables_in(text)
    assert table.kinds[1] == kind
    assert [text[row.start : row.end] for row in table.rows] == [f"- Item: x; Price: {one}" for one in written]
    if kind == "number":
        assert ask(table, aggregates=[{"function": "sum", "column": "Price"}]).rows == ((pytest.approx(total),),)


PIPES = """# Fees

Boat | Euro | Note
:--- | ---: | ---
up to 8 m | **14** |
up to 12 m | 21 | a \\| b | too much

```
| no | table |
| --- | --- |
| in | code |
```

| | Sold |
|---|---|
| Mon | 2 |

| a | a |
|---|---|
| 1 | 2 |

a | line
with | pipes

- Item; Euro

- Item: Bolt; Euro: 2
"""


def test_tables_of_markdown_are_read_with_their_characters() -> None:
    fees, sold, items = tables_in(PIPES)
    assert (fees.name, fees.columns, fees.kinds) == ("Fees", ("Boat", "Euro", "Note"), ("text", "number", "text"))
    assert [row.cells for row in fees.rows] == [("up to 8 m", "14", None), ("up to 12 m", "21", "a | b")]
    assert PIPES[fees.rows[0].start : fees.rows[0].end] == "up to 8 m | **14** |"
    assert ask(fees, aggregates=[{"function": "sum", "column": "Euro"}]).rows == ((35,),)
    assert (sold.columns, sold.rows[0].cells) == (("Column 1", "Sold"), ("Mon", "2"))
    assert PIPES[sold.rows[0].start : sold.rows[0].end] == "| Mon | 2 |"
    assert items.columns == ("Item", "Euro")


def test_a_table_describes_itself() -> None:
    told = describe(0, tables_in(TEXT)[0])
    assert (told.rows, told.columns[1].least, told.columns[1].most) == (3, 2.5, 1000)
    assert (told.columns[2].empty, told.columns[0].distinct) == (1, 2)
    assert told.description.startswith(
        "Table Sheet Prices of 3 rows. Columns: Item (text, such as Bolt, Nut); Euro (number, "
    )


# A column of numbers loses its unit, and the commas between thousands: "0%" is read as 0.
cells = st.text(st.characters(exclude_characters=";:\n\r#%$,", min_codepoint=32, max_codepoint=126), max_size=6)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_what_a_parser_writes_is_read_back(values: list[tuple[str, str, str]]) -> None:
    items = list(rows([("A one", "B", "C"), *values]))
    found = tables_in("\n\n".join(items))
    kept = [line for line in values if any(cell.strip() for cell in line)]
    read = [row.cells for table in found for row in table.rows]
    assert len(read) == len(kept)
    for line, row in zip(kept, read, strict=True):
        assert [cell or "" for cell in row] == [
            " ".join(cell.split()).replace("\\", "") for cell in line
        ] or "\\" in str(row)


def test_filters_groups_and_numbers() -> None:
    table = tables_in(TEXT)[0]
    by_item = ask(
        table,
        group_by=["Item"],
        aggregates=[
            {"function": "count"},
            {"function": "average", "column": "Euro"},
            {"function": "max", "column": "Sold"},
        ],
        order_by=[{"column": "average(Euro)", "descending": True}],
    )
    assert by_item.columns == ("Item", "count(*)", "average(Euro)", "max(Sold)")
    assert by_item.rows == (("Nut", 1, 1000, "2026-02-05"), ("Bolt", 2, 3, "2026-01-05"))
    total = ask(
        table,
        filters=[{"column": "In stock", "type": "eq", "value": True}],
        aggregates=[{"function": "sum", "column": "Euro"}],
    )
    assert (total.rows, total.matched) == (((6,),), (0, 2))
    assert ask(table, filters=[{"column": "Note", "type": "contains", "value": "RARE"}], columns=["Item"]).rows == (
        ("Nut",),
    )
    assert ask(table, filters=[{"column": "Sold", "type": "gte", "value": "2026-02-01"}]).matched == (1,)
    assert ask(table, filters=[{"column": "Sold", "type": "is_empty"}]).matched == (2,)
    assert ask(table, filters=[{"column": "Item", "type": "in", "value": ["Nut", "Screw"]}]).matched == (1,)
    assert ask(table, columns=["Item"], limit=1).rows == (("Bolt",),)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"columns": ["Price"]}, "no column 'Price'"),
        ({"filters": [{"column": "Euro", "type": "gt", "value": "2"}]}, "kind number"),
        ({"filters": [{"column": "Sold", "type": "gt", "value": "soon"}]}, "YYYY-MM-DD"),
        ({"aggregates": [{"function": "sum", "column": "Item"}]}, "needs numbers"),
        ({"columns": ["Item"], "order_by": [{"column": "Euro"}]}, "result has no column"),
    ],
)
def test_a_query_that_does_not_fit_says_what_to_change(query: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TableQueryInvalid, match=sentence):
        ask(tables_in(TEXT)[0], **query)


@pytest.mark.parametrize(
    "query",
    [
        {"group_by": ["Item"]},
        {"columns": ["Item"], "aggregates": [{"function": "count"}]},
        {"filters": [{"column": "Item", "type": "in", "value": "x"}]},
        {"filters": [{"column": "Item", "type": "is_empty", "value": "x"}]},
        {"aggregates": [{"function": "sum"}]},
        {"sql": "SELECT 1"},
    ],
)
def test_a_query_that_is_none_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TableQuery.model_validate(query)


def test_names_and_values_are_never_sql(tmp_path: Path) -> None:
    evil = f"x\");COPY asked TO '{tmp_path}/out.csv';--"
    text = f"- {evil}; X\n\n- {evil}: 1; X: a\n\n- {evil}: 2; X: b\n"
    table = tables_in(text)[0]
    found = ask(
        table, filters=[{"column": "X", "type": "ne", "value": evil}], aggregates=[{"function": "sum", "column": evil}]
    )
    assert found.rows == ((3,),)
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_takes_too_long_is_stopped() -> None:
    table = tables_in("- A; B\n\n" + "\n".join(f"- A: {n}; B: {n % 7}" for n in range(20_000)))[0]
    slow = DuckTables(256, 0.0001)
    with pytest.raises(TableQueryTooLarge, match="Filter more"):
        asyncio.run(
            slow.compute(
                table,
                TableQuery.model_validate({"group_by": ["A"], "aggregates": [{"function": "median", "column": "B"}]}),
            )
        )
