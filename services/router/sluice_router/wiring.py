"""Opens what the router needs."""

import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clients.http import AiohttpTransport, ServiceClient, Transport
from sluice.clients.inference import InferenceClient
from sluice.clients.retrieval import RetrievalClient
from sluice.clock import Clock, SystemClock
from sluice.contracts.routing import RoutingSnapshot
from sluice.db import Database, open_database
from sluice.health import Probe
from sluice.host_names import SystemNames
from sluice.loops import Supervisor
from sluice.redis import open_redis
from sluice.secrets import ProviderSecrets
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_router.adapters import examples_file
from sluice_router.adapters.classifiers import Classifiers
from sluice_router.adapters.languages import Languages
from sluice_router.adapters.latencies import Latencies
from sluice_router.adapters.lister import Lister
from sluice_router.adapters.live import LiveConfig
from sluice_router.adapters.loads import Loads
from sluice_router.adapters.models_file import WatchedFile, load
from sluice_router.adapters.outside import Outside
from sluice_router.adapters.price_catalogue import PriceCatalogue
from sluice_router.adapters.prober import Prober
from sluice_router.adapters.publisher import Notes, Publisher
from sluice_router.adapters.reader import Reader
from sluice_router.domain.adapters import with_adapters
from sluice_router.domain.health import HealthBook
from sluice_router.domain.publication import probed, snapshot
from sluice_router.domain.registry import State
from sluice_router.domain.registry_admin import RegistryAdmin
from sluice_router.domain.unserved import keyless
from sluice_router.metrics import RouterMetrics
from sluice_router.settings import Settings
from sluice_router.store import ClassifierStore, OffersStore, RegistryStore

_log = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent.parent / "migrations"


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that the router's handlers use."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Probe]
    file: WatchedFile
    live: LiveConfig
    admin: RegistryAdmin
    registry_store: RegistryStore
    catalogue: PriceCatalogue
    clock: Clock
    prober: Prober
    publisher: Publisher
    loads: Loads
    lister: Lister
    classifiers: Classifiers
    reader: Reader
    metrics: RouterMetrics


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(
    platform: PlatformSettings, settings: Settings, *, clock: Clock | None = None, transport: Transport | None = None
) -> AsyncIterator[Deps]:
    """Open the dependencies and start the loops; close all at the end.

    Redis is no part of readiness: while it is away, gateways read the snapshot from here. Nor is the database, once the registry was
    read: what is in force stays. Without having read it the router does not start, since it would publish a snapshot without the
    models that were made through the API.
    """
    registry = MetricRegistry(process=True)
    metrics = RouterMetrics(registry)
    tracing = Tracing("router", platform)
    tokens = ServiceTokens(platform.service_secret.get_secret_value(), "router")
    network = AiohttpTransport()
    redis = open_redis(platform)
    database = open_database(platform, "router")
    store = RegistryStore(database)
    book = HealthBook()
    catalogue = PriceCatalogue()

    def note_reload(right: bool) -> None:  # noqa: FBT001 - a callback with one meaning
        metrics.reloads.labels("ok" if right else "failed").inc()
        metrics.config_valid.set(1 if right else 0)

    time = clock or SystemClock()
    file = WatchedFile(platform, time, note_reload)
    live = LiveConfig(file, store, redis, metrics.held_back.set)
    await _loaded(live, database)

    secrets = ProviderSecrets(platform.secrets_dir)
    lister = Lister(
        transport=transport or network,
        tokens=tokens,
        secrets=secrets,
        clock=time,
        kept=OffersStore(database),
        current=lambda: live.current,
        counted=lambda result: metrics.listings.labels(result).inc(),
        every_s=settings.offers_s,
    )
    await lister.remember()

    adapters: dict[str, dict[str, str]] = {}  # by the base URL of the engine that holds them: where each answers

    def build(version: int, now: float) -> RoutingSnapshot:
        config, probed_as = lister.unfolded()
        made = with_adapters(
            snapshot(config, book.notes, version=version, now=now, catalogue=catalogue.price, probed_as=probed_as),
            adapters,
        )
        healths = [deployment.health for model in made.models for deployment in model.deployments]
        for health in ("up", "down", "unknown"):
            metrics.deployments.labels(health).set(healths.count(health))
        return made

    publisher = Publisher(
        redis,
        f"{socket.gethostname()}:{settings.port}",  # the same after a restart, which so keeps its lease
        time,
        build,
        Notes(lambda result: metrics.publications.labels(result).inc(), metrics.publishes.set, metrics.version.set),
    )

    async def refresh() -> None:
        # Before the list of prices was read, models would be published whose price is known in a moment.
        await catalogue.ready.wait()
        await publisher.refresh()

    async def reloaded() -> None:
        await prober.first_round.wait()
        await catalogue.learn(lister.unfolded().config, time.now())
        await publisher.refresh()

    async def changed(state: State) -> None:
        live.take(state)
        await refresh()
        await live.announce()

    async def settle() -> None:
        await catalogue.learn(lister.unfolded().config, time.now())
        await prober.round()
        await publisher.refresh()

    prober = Prober(
        transport=transport or network,
        tokens=tokens,
        secrets=secrets,
        targets=lambda: probed(live.current),
        changed=refresh,
        counted=lambda result: metrics.probes.labels(result).inc(),
        every_s=settings.probe_interval_s,
        book=book,
    )

    def asking(service: Literal["inference", "retrieval"]) -> ServiceClient:
        url, check, sent = platform.service_url(service), partial(platform.require, service), transport or network
        return ServiceClient(service, url, tokens, sent, tracing, subject="router", retries=0, check=check)

    inference = InferenceClient(asking("inference"))
    classifiers = Classifiers(
        RetrievalClient(asking("retrieval")),
        ClassifierStore(database),
        settings.intent_timeout_s,
        settings.intent_confidence,
    )
    await classifiers.load()
    reader = Reader(classifiers, Languages(), lambda signal, outcome: metrics.readings.labels(signal, outcome).inc())
    loads = Loads(
        inference, lambda: publisher.current, settings.loads_s, adapters, refresh, latencies=Latencies(redis).read
    )

    async def publish() -> None:
        # A router that comes back has seen nothing yet: it must not replace a snapshot that knows who is healthy.
        await prober.first_round.wait()
        await refresh()
        await publisher.keep(settings.publish_s)

    loops = Supervisor(registry)
    loops.start("probes", prober.run)
    loops.start("publish", publish)
    loops.start("loads", loads.run)
    loops.start("offers", lambda: lister.run(reloaded))
    loops.start("prices", lambda: catalogue.follow(lambda: lister.unfolded().config, time, publisher.refresh))
    loops.start("registry", lambda: live.settle(settle))
    loops.start("registry-changes", lambda: live.listen(refresh))
    loops.start("classifiers", lambda: classifiers.look(settings.reload_s))
    loops.start("registry-look", lambda: live.look(settings.reload_s, refresh))
    loops.start("models-file", lambda: file.watch(settings.reload_s, reloaded))
    try:
        yield Deps(
            platform=platform,
            settings=settings,
            registry=registry,
            tokens=tokens,
            tracing=tracing,
            probes={},
            file=file,
            live=live,
            admin=RegistryAdmin(
                store, Outside(platform, SystemNames(), settings.allowed_hosts), lambda: live.file, changed
            ),
            registry_store=store,
            catalogue=catalogue,
            clock=time,
            prober=prober,
            publisher=publisher,
            loads=loads,
            lister=lister,
            classifiers=classifiers,
            reader=reader,
            metrics=metrics,
        )
    finally:
        await loops.close()
        await publisher.release()
        await network.close()
        await redis.aclose()
        await database.close()
        tracing.close()


async def _loaded(live: LiveConfig, database: Database) -> None:
    try:
        await live.load()
    except BaseException:
        await database.close()
        raise


def check_config(platform: PlatformSettings, settings: Settings) -> None:
    """Raise if models.yaml, or intents.yaml and domains.yaml where they are there, are not right; keys that are not there are told in the log."""
    del settings
    secrets = ProviderSecrets(platform.secrets_dir)
    for said in keyless(load(platform), lambda auth: secrets.read(auth) is not None):
        _log.warning("%s", said)
    for filename in examples_file.FILES:
        if (platform.config_dir / filename).exists():
            examples_file.load(platform, filename)
