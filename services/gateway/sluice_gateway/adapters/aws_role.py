"""AWS credentials of the machine itself: the AWS_ variables, a profile, a web identity, or the role of a container or an instance.

botocore looks in this order, and knows the protocols of all of them. Source: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import asyncio
import logging
from collections.abc import Callable

from sluice.errors import DependencyUnavailable
from sluice_gateway.adapters.aws_signing import AwsCredentials

_log = logging.getLogger(__name__)
_EVERY_S = 60.0
_AGAIN_S = 5.0

Find = Callable[[], AwsCredentials | None]


class AwsRole:
    """The machine's credentials, looked for in a thread, so that no request waits for a metadata server; only once a deployment wants them.

    Each minute they are asked for again; botocore gets new ones a quarter of an hour before the old ones end.
    Degraded mode: while nobody can tell, the last ones are used as long as AWS takes them; without any, deployments that want them are not asked.
    """

    def __init__(self, find: Find | None = None, *, every_s: float = _EVERY_S, again_s: float = _AGAIN_S) -> None:
        self._find = find
        self._every_s, self._again_s = every_s, again_s
        self._wanted = asyncio.Event()
        self._known: AwsCredentials | None = None

    def want(self) -> None:
        """Begin to look, if nobody has asked before."""
        self._wanted.set()

    def credentials(self) -> AwsCredentials:
        """Return the credentials.

        Raises:
            DependencyUnavailable: there are none yet, or the machine has none.
        """
        self.want()
        if self._known is None:
            raise DependencyUnavailable(
                "AWS credentials of this machine were not found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give it a role."
            )
        return self._known

    async def keep(self) -> None:
        """Look again and again, once somebody wants them; runs until it is cancelled."""
        await self._wanted.wait()
        while True:
            await self._look()
            await asyncio.sleep(self._again_s if self._known is None else self._every_s)

    async def _look(self) -> None:
        try:
            if self._find is None:
                self._find = await asyncio.to_thread(machine)
            found = await asyncio.to_thread(self._find)
        except Exception as exc:  # noqa: BLE001 - the top of a supervised loop; botocore's classes are many, and it may be missing
            _log.warning("AWS credentials of this machine cannot be read: %s", type(exc).__name__)
            return
        if found is None:
            _log.warning("this machine has no AWS credentials, and a deployment wants them")
        else:
            self._known = found


def machine() -> Find:
    """Return what finds the credentials of this machine; blocking, and for one thread at a time."""
    import botocore.session  # noqa: PLC0415 - an optional extra, and heavy

    session = botocore.session.Session()

    def find() -> AwsCredentials | None:
        held = session.get_credentials()
        if held is None:
            return None
        frozen = held.get_frozen_credentials()
        return AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)

    return find
