"""Prices that administrators set, and how they take the place of those that the router publishes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluice.contracts.prices import ModelPrice, PriceOverride, SetPrice
from sluice.contracts.routing import Model, Price, RoutingSnapshot

_OF_THE_FILE = "config"


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """A price that holds for a model from a time on (unix seconds); it never changes, and is at most deleted."""

    id: str
    model: str
    price: Price
    valid_from: float
    created_at: float
    deleted_at: float | None = None

    @property
    def organization_id(self) -> str:
        """Prices are nobody's own: the same for all organisations."""
        return ""

    def shown(self) -> PriceOverride:
        """Return what the API answers."""
        return PriceOverride(
            id=self.id,
            model=self.model,
            price=self.price,
            valid_from=self.valid_from,
            created_at=self.created_at,
            deleted_at=self.deleted_at,
        )


def stored_price(request: SetPrice, price_id: str, at: float) -> StoredPrice:
    """Return a price as it is asked for; its source is its own id."""
    content = request.model_dump(exclude={"model", "valid_from"})
    price = Price.model_validate({**content, "source": f"override {price_id}"})
    begins = at if request.valid_from is None else request.valid_from
    return StoredPrice(price_id, request.model, price, begins, at)


def with_overrides(snapshot: RoutingSnapshot, overrides: Sequence[StoredPrice], now: float) -> RoutingSnapshot:
    """Return the snapshot with the newest override of each model whose price does not stand in models.yaml."""
    holding: dict[str, StoredPrice] = {}
    for one in sorted(overrides, key=lambda stored: (stored.valid_from, stored.created_at, stored.id)):
        if one.valid_from <= now:
            holding[one.model] = one
    if not holding:
        return snapshot
    return snapshot.model_copy(
        update={"models": tuple(_with(model, holding.get(model.name)) for model in snapshot.models)}
    )


def next_turn(overrides: Iterable[StoredPrice], now: float) -> float | None:
    """Return when the next override begins to hold."""
    return min((one.valid_from for one in overrides if one.valid_from > now), default=None)


def model_prices(snapshot: RoutingSnapshot, overrides: Sequence[StoredPrice], now: float) -> tuple[ModelPrice, ...]:
    """Return what each model costs and why."""
    in_force = {model.name: model.price for model in with_overrides(snapshot, overrides, now).models}
    return tuple(
        ModelPrice(
            model=model.name,
            price=in_force[model.name],
            published=model.price,
            overrides=tuple(one.shown() for one in overrides if one.model == model.name),
        )
        for model in snapshot.models
    )


def _with(model: Model, override: StoredPrice | None) -> Model:
    if override is None or (model.price is not None and model.price.source.startswith(_OF_THE_FILE)):
        return model
    return model.model_copy(update={"price": override.price})
