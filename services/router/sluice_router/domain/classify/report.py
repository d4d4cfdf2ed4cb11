"""What a training is worth, as the API says it."""

from collections.abc import Sequence

from sluice.contracts.training import (
    CalibrationBin,
    ClassWorth,
    DifficultyReport,
    FloorPoint,
    SharePoint,
    TrainingReport,
)
from sluice_router.domain.classify.gain import GainTrained
from sluice_router.domain.classify.training import Ints, Trained

OUT_OF_SCOPE = "(out of scope)"


def report_of(trained: Trained, sha256: str, classifier: str) -> TrainingReport:
    """Return the report of a training."""
    head, found = trained
    return TrainingReport(
        classifier=classifier,
        examples=int(found.confusion.sum()),
        accuracy=found.accuracy,
        rejected=found.rejected,
        out_of_scope_found=found.strangers_found,
        calibration_error=found.calibration_error,
        temperature=head.temperature,
        floor=head.floor,
        sha256=sha256,
        classes=tuple(_worth(head.classes, found.confusion, at) for at in range(len(head.classes))),
        calibration=tuple(
            CalibrationBin(confidence=one.confidence, accuracy=one.accuracy, count=one.texts)
            for one in found.calibration
        ),
        curve=tuple(
            FloorPoint(
                floor=point.floor,
                rejected=point.rejected,
                in_scope_right=point.in_scope_right,
                out_of_scope_found=point.strangers_found,
            )
            for point in found.curve
        ),
    )


def difficulty_report(
    trained: GainTrained, sha256: str, weak: Sequence[float], strong: Sequence[float]
) -> DifficultyReport:
    """Return the report of a training of `difficulty`."""
    return DifficultyReport(
        examples=len(weak),
        apgr=trained.apgr,
        weak_quality=sum(weak) / len(weak),
        strong_quality=sum(strong) / len(strong),
        sha256=sha256,
        curve=tuple(
            SharePoint(strong_share=point.share, quality=point.quality, gap_recovered=point.gap)
            for point in trained.curve
        ),
    )


def _worth(classes: tuple[str, ...], confusion: Ints, at: int) -> ClassWorth:
    names = (*classes, OUT_OF_SCOPE)
    row, said = confusion[at], int(confusion[:, at].sum())
    return ClassWorth(
        name=classes[at],
        examples=int(row.sum()),
        precision=float(confusion[at, at] / said) if said else None,
        recall=float(row[at] / max(1, row.sum())),
        taken_for={names[other]: int(count) for other, count in enumerate(row) if count and other != at},
    )
