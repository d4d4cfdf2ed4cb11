"""LoRA adapters that engines hold, as models of their own."""

from collections.abc import Mapping

from sluice.contracts.routing import Deployment, Model, RoutingSnapshot


def with_adapters(snapshot: RoutingSnapshot, held: Mapping[str, tuple[str, ...]]) -> RoutingSnapshot:
    """Return a snapshot in which each adapter is a model: its base's description, on those of its deployments whose engine holds it.

    `held` has the adapters of engines by base URL. A name that is a model or route of the file stays that. An adapter falls
    back to nothing, since its base would answer as if it were the adapter.
    """
    taken = {*(model.name for model in snapshot.models), *(route.name for route in snapshot.routes)}
    found: dict[str, tuple[Model, list[Deployment]]] = {}
    for model in snapshot.models:
        for deployment in model.deployments:
            for name in held.get(deployment.base_url, ()):
                if name in taken:
                    continue
                base, places = found.setdefault(name, (model, []))
                if base is model:
                    places.append(_of_adapter(deployment, name))
    added = tuple(_as_model(base, name, places) for name, (base, places) in sorted(found.items()))
    return snapshot.model_copy(update={"models": (*snapshot.models, *added)}) if added else snapshot


def _of_adapter(deployment: Deployment, name: str) -> Deployment:
    return deployment.model_copy(update={"id": f"{deployment.id}/{name}", "upstream_model": name})


def _as_model(base: Model, name: str, places: list[Deployment]) -> Model:
    changes = {"name": name, "deployments": tuple(places), "fallbacks": (), "version": None}
    return base.model_copy(update=changes)
