"""Errors of files and jobs."""

from sluice.errors import BadRequest, Conflict, NotFound, SluiceError


class FileNotFound(NotFound):
    """There is no file of this id for this tenant."""

    code, title = "file_not_found", "File not found"


class UnsuitableFile(BadRequest):
    """The file was not uploaded for training, or is too long for it."""

    code, title = "unsuitable_file", "Unsuitable file"


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


class JobLost(SluiceError):
    """The job was cancelled, or another worker has taken it over."""

    code, title = "job_lost", "Job lost"


class TrainingUnavailable(SluiceError):
    """No training back end is installed."""

    code, title = "training_backend_unavailable", "Training back end unavailable"
