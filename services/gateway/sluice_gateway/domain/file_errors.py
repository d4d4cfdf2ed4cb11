"""Errors of files and batches."""

from sluice.errors import (
    BadRequest,
    Conflict,
    NotFound,
    PayloadTooLarge,
    RangeNotSatisfiable,
    SluiceError,
    UnsupportedMediaType,
)


class FileNotFound(NotFound):
    """There is no file of this id for this tenant."""

    code, title = "file_not_found", "File not found"


class FileInUse(Conflict):
    """A batch that has not ended needs the file."""

    code, title = "file_in_use", "File in use"


class FileTooLarge(PayloadTooLarge):
    """The upload is over the configured size."""

    code, title = "file_too_large", "File too large"


class FormUnreadable(BadRequest):
    """The upload's form is broken, or a part of it is missing or wrong."""

    code, title = "invalid_form", "Invalid form"


class NotAForm(UnsupportedMediaType):
    """The upload is not multipart/form-data."""

    code, title = "not_a_form", "Not a form"


class UnknownPurpose(BadRequest):
    """The purpose is not one that files may have."""

    code, title = "unknown_purpose", "Unknown purpose"


class RangeOutside(RangeNotSatisfiable):
    """The wanted range lies behind the file's end."""

    code, title = "range_outside_file", "Range outside the file"


class BatchRefused(BadRequest):
    """The batch cannot be made as it was asked for."""

    code, title = "invalid_batch", "Invalid batch"


class BatchNotFound(NotFound):
    """There is no batch of this id for this tenant."""

    code, title = "batch_not_found", "Batch not found"


class BatchHasEnded(Conflict):
    """The batch has ended or is writing its files; it cannot be cancelled any more."""

    code, title = "batch_has_ended", "Batch has ended"


class BatchNotEnded(Conflict):
    """The batch is still at work; it cannot be deleted yet."""

    code, title = "batch_not_ended", "Batch has not ended"


class BatchLost(SluiceError):
    """The batch is no longer this worker's: another has taken it over, or it is gone."""

    code, title = "batch_lost", "Batch lost"
