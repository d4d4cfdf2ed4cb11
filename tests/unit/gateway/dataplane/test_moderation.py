"""The result of a moderation: what is flagged, and the scores of all categories."""

from sluice.contracts.guard import CategoryScore, InputVerdict, IssueDetail, Segment
from sluice_gateway.dataplane.moderation import CATEGORIES, result


def test_scores_are_told_also_of_what_the_policy_lets_pass() -> None:
    found = IssueDetail(
        code="high_toxicity", detector="harm", kind="hate", action="block", score=0.9, segment_id="0", start=0, end=4
    )
    scores = [("0", "hate", 0.9), ("0", "illicit/violent", 0.45), ("1", "violence", 0.3)]
    verdict = InputVerdict(
        safe=False,
        issues=("high_toxicity",),
        details=(found,),
        category_scores=tuple(
            CategoryScore(category=name, score=score, segment_id=place) for place, name, score in scores
        ),
        policy="default",
        policy_hash="h",
    )
    asked = (Segment(id="0", text="a"), Segment(id="1", text="b"))
    first, second = (result([place], [(asked, verdict)]) for place in ("0", "1"))
    assert (first["flagged"], second["flagged"]) == (True, False)
    assert [name for name, flagged in first["categories"].items() if flagged] == ["hate"]
    assert {name: score for name, score in first["category_scores"].items() if score} == {
        "hate": 0.9,
        "illicit/violent": 0.45,
    }
    assert second["category_scores"]["violence"] == 0.3
    assert set(first["category_scores"]) == set(CATEGORIES)
