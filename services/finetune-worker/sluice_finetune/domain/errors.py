"""Errors of files and jobs."""

from sluice.errors import BadRequest, Conflict, NotFound, PayloadTooLarge, SluiceError, UnsupportedMediaType


class FileNotFound(NotFound):
    """There is no file of this id for this tenant."""

    code, title = "file_not_found", "File not found"


class FileInUse(Conflict):
    """A job that has not ended needs the file."""

    code, title = "file_in_use", "File in use"


class FileTooLarge(PayloadTooLarge):
    """The upload is over the configured size."""

    code, title = "file_too_large", "File too large"


class FormUnreadable(BadRequest):
    """The upload's form is broken, or a part of it is missing."""

    code, title = "invalid_form", "Invalid form"


class NotAForm(UnsupportedMediaType):
    """The upload is not multipart/form-data."""

    code, title = "not_a_form", "Not a form"


class UnknownPurpose(BadRequest):
    """The purpose is not one that this service knows."""

    code, title = "unknown_purpose", "Unknown purpose"


class UnknownTrainingFile(BadRequest):
    """The job names a file that does not exist for this tenant."""

    code, title = "unknown_training_file", "Unknown training file"


class JobNotFound(NotFound):
    """There is no job of this id for this tenant."""

    code, title = "job_not_found", "Job not found"


class JobHasEnded(Conflict):
    """The job has already ended."""

    code, title = "job_has_ended", "Job has ended"


class CursorNotFound(BadRequest):
    """`after` names nothing in this list."""

    code, title = "unknown_cursor", "Unknown cursor"


class BlobMissing(SluiceError):
    """A file is known and its content is not where it should be."""

    code, title = "file_content_missing", "File content missing"


class JobLost(SluiceError):
    """The job was cancelled, or another worker has taken it over."""

    code, title = "job_lost", "Job lost"


class TrainingUnavailable(SluiceError):
    """No training back end is installed."""

    code, title = "training_backend_unavailable", "Training back end unavailable"
