"""Questions that plainly ask for a figure, and those that only look like it."""

import pytest

from sluice_retrieval.domain.figures import Figure, figure_in, statement
from sluice_retrieval.domain.tables import tables_in

ORDERS = """- Customer; City; Country; Amount; Items
- Customer: Ada Ltd; City: New York; Country: USA; Amount: 100; Items: 2
- Customer: Bob & Sons; City: Berlin; Country: Germany; Amount: 50; Items: 1
- Customer: Berlin Tools; City: Hamburg; Country: Germany; Amount: 70; Items: 4
- Customer: York Mills; City: York; Country: England; Amount: 30; Items: 5
"""
PRICES = "- Part; Euro\n- Part: Bolt; Euro: 2\n- Part: Nut; Euro: 1.5\n"


def read(
    question: str, text: str = ORDERS, source: str = "orders-2026.csv"
) -> tuple[str, str | None, dict[str, object]] | None:
    figure = figure_in(question, source, tables_in(text))
    if figure is None:
        return None
    return figure.function, figure.column, {one.column: one.value for one in figure.filters}


@pytest.mark.parametrize(
    ("question", "function", "column", "filters"),
    [
        ("What is the total amount of orders from Germany?", "sum", "Amount", {"Country": "Germany"}),
        ("What was the average amount?", "average", "Amount", {}),
        ("What is the average amount in Orders-2026.csv?", "average", "Amount", {}),
        ("How many rows are in orders-2026.csv?", "count", None, {}),
        ("How many orders are there from New York?", "count", None, {"City": "New York"}),
        ("how many orders came from germany in hamburg", None, None, None),  # "came" is no word of the table
        ("How many orders are from Germany in Hamburg?", "count", None, {"Country": "Germany", "City": "Hamburg"}),
        ("What is the highest amount in Germany?", "max", "Amount", {"Country": "Germany"}),
        ("What is the lowest number of items?", None, None, None),  # lowest, or a number?
        ("What is the total for Ada Ltd?", None, None, None),  # of which of two columns?
        ("What is the total amount of Berlin Tools?", "sum", "Amount", {"Customer": "Berlin Tools"}),
        ("What is the total amount in France?", None, None, None),
        ("What is the average age of customers?", None, None, None),
        ("What is the average amount per country?", None, None, None),
        ("What is the average amount by country?", None, None, None),
        ("How many orders are not from Germany?", None, None, None),
        ("How many orders are from Germany or York?", None, None, None),
        ("How many orders are from Germany and England?", None, None, None),
        ("How many countries are there?", "count_distinct", "Country", {}),
        ("How many customers are there in the country Germany?", "count_distinct", "Customer", {"Country": "Germany"}),
        ("How many items are there?", None, None, None),
        ("What is the average amount of customers?", None, None, None),
        ("Who founded Ada Ltd?", None, None, None),
        ("How many?", None, None, None),
        ("Why is the total amount in Germany so high?", None, None, None),
        ("Which customer has the highest amount?", "max", "Amount", {}),
        ("Which customer from Germany had the lowest amount?", "min", "Amount", {"Country": "Germany"}),
        ("Which country has the highest amount?", None, None, None),  # of one order, or of all of a country?
        ("Which customer has the highest average amount?", None, None, None),
        ("Which city has the highest customer?", None, None, None),
        ("Which customer has the total amount?", None, None, None),
    ],
)
def test_a_figure_is_read_only_where_every_word_is_understood(
    question: str, function: str | None, column: str | None, filters: dict[str, object] | None
) -> None:
    assert read(question) == (None if function is None else (function, column, filters))


def test_who_holds_the_highest_is_named() -> None:
    figure = figure_in("Which customer has the highest amount?", "orders.csv", tables_in(ORDERS))
    assert figure is not None
    assert figure.holder == "Customer"
    told = "Highest of Amount: 100, where Customer is Ada Ltd (computed from 4 rows of orders.csv)."
    assert statement(figure, 100, 4, "orders.csv", ("Ada Ltd",)) == told
    plain = figure_in("What is the highest amount?", "orders.csv", tables_in(ORDERS))
    assert plain is not None
    assert plain.holder is None


def test_the_only_number_of_a_table_need_not_be_named() -> None:
    assert read("What is the total of bolts?", PRICES, "parts.csv") == ("sum", "Euro", {"Part": "Bolt"})


def test_two_tables_that_could_be_meant_are_none() -> None:
    twice = f"# Sheet A\n\n{PRICES}\n# Sheet B\n\n{PRICES}"
    assert read("What is the highest euro?", twice) is None
    assert read("What is the highest euro of sheet B?", f"# Sheet A\n\n{ORDERS}\n\n# Sheet B\n\n{PRICES}") == (
        "max",
        "Euro",
        {},
    )


def test_a_figure_is_told_with_all_it_rests_on() -> None:
    figure = figure_in("What is the total amount of orders from Germany?", "orders.csv", tables_in(ORDERS))
    assert isinstance(figure, Figure)
    assert statement(figure, 120, 2, "orders.csv") == (
        "Sum of Amount where Country is Germany: 120 (computed from 2 rows of orders.csv)."
    )
