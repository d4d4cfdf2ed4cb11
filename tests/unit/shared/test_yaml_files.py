"""YAML files of the configuration folder, read strictly."""

import pytest
import yaml

from sluice.yaml_lines import read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "`a` stands twice.*line 3"),
        ("models:\n- {name: x, price: {input: 1}, price: {input: 2}}", "`price` stands twice.*line 2"),
        ("from: 2027-13-01", "`2027-13-01` is no date: month.*line 1"),
        ("from: 2027-02-30T00:00:00Z", "is no date: day.*line 1"),
    ],
)
def test_what_says_something_twice_or_names_no_day_is_refused(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError) as refused:
        read(text)
    found = " ".join(str(refused.value).split())
    before, _, after = said.partition(".*")
    assert before in found
    assert after in found


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "base: &base {timeout_s: 1, weight: 2}\none: {<<: *base, timeout_s: 3}\ntwo: {<<: *base, weight: 1}"
    found = read(text)
    assert (found["one"], found["two"]) == ({"timeout_s": 3, "weight": 2}, {"timeout_s": 1, "weight": 1})
