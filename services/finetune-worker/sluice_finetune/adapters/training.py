"""Training back ends."""

from sluice_finetune.domain.errors import TrainingUnavailable
from sluice_finetune.domain.jobs import Job


class NoTrainingBackend:
    """Stands where a back end would; it trains nothing and says so."""

    async def train(self, job: Job) -> str:
        """Raise, with what was checked.

        Raises:
            TrainingUnavailable: always.
        """
        assert job.dataset is not None
        assert job.preflight is not None
        checked = [f"the training file ({job.dataset.examples} examples, {job.dataset.format})"]
        if job.validation_dataset is not None:
            checked.append(f"the validation file ({job.validation_dataset.examples} examples)")
        checked.append(f"the amount of data ({job.preflight.data_level.replace('_', ' ')})")
        raise TrainingUnavailable(
            "This installation has no training back end, so nothing was trained. Checked were "
            f"{', '.join(checked)} and the hyperparameters; the results stand in `dataset` and `preflight`."
        )
