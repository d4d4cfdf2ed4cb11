"""Order: which of a route's candidates come first, by the difficulty of a request, by its domain, and by what it asks for."""

from collections.abc import Callable, Iterator, Sequence

from sluice.contracts.routing import Model, Route
from sluice_router.domain.classify.reading import Signs


def preferred(route: Route, candidates: tuple[Model, ...], signs: Signs) -> tuple[tuple[Model, ...], ...]:
    """Return the candidates in groups, each looked at when the one before has nothing; one group when nothing speaks for an order."""
    groups: tuple[tuple[Model, ...], ...] = (candidates,)
    difficulty, domain = signs.difficulty, signs.domain
    if route.quality is not None and difficulty is not None and difficulty.strong is not None:
        strong = route.quality.strong
        groups = _parted(groups, lambda model: (model.name in strong) == difficulty.strong)
    if route.by_domain and domain is not None and domain.recognised is not None:
        groups = _parted(groups, lambda model: domain.recognised in model.domains)
    if route.by_modality and signs.asks_for == "image":
        groups = _parted(groups, has_images)
    return groups


def has_images(model: Model) -> bool:
    """Tell whether a model says that it reads or makes images."""
    return "image" in (*(model.input_modalities or ()), *(model.output_modalities or ()))


def _parted(groups: Sequence[tuple[Model, ...]], first: Callable[[Model], bool]) -> tuple[tuple[Model, ...], ...]:
    def parts() -> Iterator[tuple[Model, ...]]:
        for group in groups:
            yield tuple(model for model in group if first(model))
            yield tuple(model for model in group if not first(model))

    return tuple(part for part in parts() if part) or tuple(groups[:1])
