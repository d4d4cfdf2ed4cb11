"""Celery for jobs: one application per service, the same delivery guarantees everywhere."""

import asyncio
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from celery import Celery
from celery.signals import worker_shutting_down
from kombu.exceptions import OperationalError

from sluice.contracts.base import Reply
from sluice.errors import DependencyUnavailable
from sluice.queues import Task
from sluice.settings import PlatformSettings

_log = logging.getLogger(__name__)
Payload = TypeVar("Payload", bound=Reply)

_VISIBILITY_TIMEOUT_S = 10
_QUEUE_PREFIX = "sluice."


def make_celery(service: str, platform: PlatformSettings) -> Celery:
    """Return a service's Celery application on the platform's Redis.

    Tasks are acknowledged after they ran (at-least-once): a killed worker's task is delivered again once its visibility
    time-out of 10 s has passed, and running workers look for such tasks every 5 s. A task that runs longer may thus run twice
    at once: handlers hold a lease in the database and are idempotent. Redelivery matters for tasks that a worker had
    fetched and not begun; a begun job comes back through the sweep of its service when its lease ends.
    """
    app = Celery(f"sluice-{service}", broker=platform.redis_url, set_as_current=False)
    app.conf.update(
        task_default_queue=f"{_QUEUE_PREFIX}{service}",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_retry=True,
        broker_channel_error_retry=True,  # a Redis that refuses to write (a full disk, no memory, a replica) does not end a worker
        broker_transport_options={
            "visibility_timeout": _VISIBILITY_TIMEOUT_S,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
            "socket_timeout": 10,
            "socket_keepalive": True,
            "health_check_interval": 30,
        },
        broker_pool_limit=2,
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5},
    )
    return app


class TaskSender:
    """Sends tasks from asynchronous code; nobody waits longer than `within_s` seconds for a broker that does not answer."""

    def __init__(self, celery: Celery, *, within_s: float = 5.0) -> None:
        self._celery = celery
        self._within_s = within_s

    async def send(self, task: Task[Payload], payload: Payload) -> None:
        """Put a task into its queue.

        Raises:
            DependencyUnavailable: the broker cannot be reached; store the job first, so that a sweep can send it later.
        """
        send = functools.partial(
            self._celery.send_task,
            task.name,
            args=[payload.model_dump(mode="json")],
            queue=f"{_QUEUE_PREFIX}{task.queue}",
        )
        try:
            async with asyncio.timeout(self._within_s):
                await asyncio.to_thread(send)
        except (OperationalError, OSError) as exc:
            raise DependencyUnavailable(
                "The job queue cannot be reached; the job is kept and will be sent later."
            ) from exc


def register(celery: Celery, task: Task[Payload], handle: Callable[[Payload], None]) -> None:
    """Make `handle` the worker's function for a task; it runs in a worker thread and gets the parsed payload."""

    def run(raw: dict[str, Any]) -> None:
        handle(task.payload.model_validate(raw))

    celery.task(run, name=task.name)


class LoopThread:
    """An event loop in a thread of its own, so that task functions can call asynchronous code and share its clients."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="sluice-loop", daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[Any]) -> Any:
        """Run a coroutine on the loop and wait for its result."""

        async def awaited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have the loop call a function soon; does not wait."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()


def run_worker(service: str, celery: Celery, *, concurrency: int = 2, told: Callable[[], None] | None = None) -> None:
    """Run a worker in this process until it is told to stop (SIGTERM: finish running tasks first; `told` hears of it)."""
    _log.info("worker of %s starts", service)
    if told is not None:
        worker_shutting_down.connect(lambda **_: told(), weak=False)
    celery.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={concurrency}",
            f"--queues={_QUEUE_PREFIX}{service}",
            f"--hostname={service}@%h",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
        ]
    )
