"""LoRA adapters that engines hold: as models of their own, and as deployments that name one."""

from collections.abc import Mapping

from sluice.contracts.routing import Deployment, Model, RoutingSnapshot

Held = Mapping[str, Mapping[str, str]]


def with_adapters(snapshot: RoutingSnapshot, held: Held) -> RoutingSnapshot:
    """Return a snapshot in which each adapter is a model, and no deployment is up whose engine lacks the adapter that it names.

    `held` has the adapters of engines by base URL, each with the base URL where it answers: the engine's, or that of an engine of its own (llama.cpp). An adapter that a deployment there names is described by that deployment's model, and a name
    that is a model or route already stays that. Each other one gets its base's description, on those of its deployments
    whose engine holds it. It falls back to nothing, since its base would answer as if it were the adapter.
    """
    if not held:
        return snapshot
    named = {(place.base_url, place.adapter) for model in snapshot.models for place in model.deployments}
    taken = {*(model.name for model in snapshot.models), *(route.name for route in snapshot.routes)}
    found: dict[str, tuple[Model, list[Deployment]]] = {}
    for model in snapshot.models:
        for place in model.deployments:
            for name, url in {}.items() if place.adapter else held.get(place.base_url, {}).items():
                if name in taken or (place.base_url, name) in named:
                    continue
                base, places = found.setdefault(name, (model, []))
                if base is model:
                    places.append(_of_adapter(place, name, url))
    there = tuple(_as_held(model, held) for model in snapshot.models)
    added = tuple(_as_model(base, name, places) for name, (base, places) in sorted(found.items()))
    return snapshot.model_copy(update={"models": (*there, *added)})


def _as_held(model: Model, held: Held) -> Model:
    # An engine that nobody here knows may hold anything.
    if not any(place.adapter and place.base_url in held for place in model.deployments):
        return model
    return model.model_copy(update={"deployments": tuple(_where_held(place, held) for place in model.deployments)})


def _where_held(place: Deployment, held: Held) -> Deployment:
    if place.adapter is None or place.base_url not in held:
        return place
    url = held[place.base_url].get(place.adapter)
    if url is None:
        reason = f"its engine does not hold the adapter {place.adapter!r}"
        return place.model_copy(update={"health": "down", "health_reason": reason})
    return place if url == place.base_url else place.model_copy(update={"base_url": url})


def _of_adapter(place: Deployment, name: str, url: str) -> Deployment:
    changes = {"id": f"{place.id}/{name}", "upstream_model": name, "adapter": name, "base_url": url}
    return place.model_copy(update=changes)


def _as_model(base: Model, name: str, places: list[Deployment]) -> Model:
    changes = {"name": name, "deployments": tuple(places), "fallbacks": (), "version": None}
    return base.model_copy(update=changes)
