"""Training files: formats, wrong lines, lengths, duplicates."""

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.finetune import MAX_LINE_ERRORS, DatasetReport
from sluice_finetune.domain.examples import LineUnusable, read_example
from sluice_finetune.domain.validation import LineTooLong, validate


def chat(question: str, answer: str, system: str | None = None) -> dict[str, object]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": [{"role": "system", "content": system}, *messages] if system else messages}


def report_on(*rows: object) -> DatasetReport:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows]
    return validate(lines, lambda: None)


@pytest.mark.parametrize(
    ("row", "form"),
    [
        (chat("hi", "hello"), "openai_chat"),
        ({"instruction": "hi", "input": "", "output": "hello"}, "alpaca"),
        (
            {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}], "id": 7},
            "sharegpt",
        ),
    ],
)
def test_each_format_is_known_by_its_fields(row: object, form: str) -> None:
    report = report_on(row, row)
    assert (report.format, report.examples, report.error_count, report.duplicates) == (form, 2, 0, 1)
    assert report.input_length is not None
    assert report.output_length is not None
    assert (report.input_length.mean, report.output_length.mean) == (2, 5)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b"[1]", "this is a JSON array"),
        (b"3", "must be a JSON object"),
        (b'{"a": 1}', "none of the known formats"),
        (b'{"messages": NaN}', "NaN is not JSON"),
        (b'\xff{"messages": []}', "byte 1 is not UTF-8"),
        (b'{"messages": []}', "`messages` must be a list that is not empty"),
        (b'{"messages": ["hi"]}', r"messages[0] must be an object"),
        (b'{"messages": [{"role": "boss", "content": "x"}]}', "messages[0].role must be one of assistant"),
        (b'{"messages": [{"role": "user", "content": 3}]}', "messages[0].content must be a string"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "nothing to learn without a message with role `assistant`"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "there is nothing to answer"),
        (b'{"messages": [{"role": "assistant", "content": "x", "weight": 2}]}', "weight must be 0 or 1"),
        (b'{"instruction": "x"}', "`output` must be a string"),
        (b'{"instruction": "x", "output": " "}', "nothing to learn"),
        (b'{"conversations": [{"from": "cat", "value": "x"}]}', "conversations[0].from must be one of"),
        (b'{"conversations": [{"from": "gpt"}]}', "conversations[0].value must be a string"),
        (b'{"conversations": {"from": "gpt"}}', "`conversations` must be a list"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_wrong_line_says_what_to_change(line: bytes, sentence: str) -> None:
    with pytest.raises(LineUnusable) as caught:
        read_example(line, None)
    assert sentence in str(caught.value)


def test_wrong_lines_are_named_by_number_and_counted_beyond_the_bound() -> None:
    report = report_on(chat("a", "b"), b"\n", b"nope\n", {"instruction": "x", "output": "y"}, *[b"{}\n"] * 200)
    assert (report.lines, report.examples, report.error_count) == (204, 1, 202)
    assert len(report.errors) == MAX_LINE_ERRORS
    assert [(error.line, error.message[:20]) for error in report.errors[:2]] == [
        (3, "not JSON: Expecting "),
        (4, "this line is Alpaca "),
    ]


def test_a_line_that_could_not_be_read_is_an_error_with_its_number() -> None:
    report = validate([json.dumps(chat("a", "b")).encode(), LineTooLong("longer than 9 bytes")], lambda: None)
    assert [(error.line, error.message) for error in report.errors] == [(2, "longer than 9 bytes")]


def test_tool_calls_and_text_parts_are_examples() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert report_on({"messages": [parts, call]}).error_count == 0


def test_moving_a_border_between_fields_makes_another_example() -> None:
    assert report_on(chat("ab", "c"), chat("a", "bc")).duplicates == 0
    assert (
        report_on({"instruction": "a", "input": "b", "output": "c"}, {"instruction": "ab", "output": "c"}).duplicates
        == 0
    )
    assert report_on(chat("q", "a", system="s"), chat("q", "a")).duplicates == 0


def test_the_digest_is_the_same_in_every_process() -> None:
    digest = read_example(json.dumps(chat("q", "a")).encode(), None).digest
    assert digest.hex()[:16] == "8077bfe9ffc28ff4"


@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20)), min_size=1, max_size=20))
def test_lengths_and_duplicates_agree_with_the_standard_library(pairs: list[tuple[str, str]]) -> None:
    pairs = [(f"q{question}", f"a{answer}") for question, answer in pairs]
    report = report_on(*[chat(question, answer) for question, answer in pairs])
    lengths = [len(question) for question, _ in pairs]
    assert report.input_length is not None
    assert report.input_length.min == min(lengths)
    assert report.input_length.max == max(lengths)
    assert report.input_length.median == statistics.median(lengths)
    assert report.input_length.mean == pytest.approx(statistics.fmean(lengths), abs=0.001)
    assert report.input_length.std == pytest.approx(statistics.pstdev(lengths), abs=0.001)
    assert report.duplicates == len(pairs) - len(set(pairs))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(line: bytes) -> None:
    report = validate([line], lambda: None)
    assert report.lines == 1


def test_classes_are_counted_only_while_they_are_few() -> None:
    few = report_on(*[chat(f"q{n}", "yes" if n % 3 else "no") for n in range(30)])
    assert (few.distinct_outputs, few.smallest_class) == (2, 10)
    many = report_on(*[chat(f"q{n}", f"answer {n}") for n in range(300)])
    assert (many.distinct_outputs, many.smallest_class) == (None, None)


def test_an_empty_file_has_no_statistics() -> None:
    report = report_on()
    assert (report.format, report.lines, report.input_length) == (None, 0, None)


def test_the_checkpoint_can_end_the_reading() -> None:
    def over() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        validate([b"{}"], over)
