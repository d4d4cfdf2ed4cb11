"""Reads guard.yaml and takes over its changes while the service runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

from sluice.files import stamp
from sluice.settings import ConfigError, PlatformSettings
from sluice_guardrail.adapters.asked_beside import settings_of
from sluice_guardrail.domain.judging import JudgeTask
from sluice_guardrail.domain.names import PERSON
from sluice_guardrail.domain.policy import Policy, PolicySet, parse_policies

FILENAME = "guard.yaml"
_NO_NAMES = (
    "names of people are asked for, and no model finds them, so that nothing would pass. "
    f"Set SLUICE_GUARDRAIL_NAMES_MODEL to a model of spaCy that is installed, or leave `{PERSON}` out."
)
_log = logging.getLogger(__name__)


class Lacking(NamedTuple):
    """What a policy may ask for and is not there: a model of `names`, and `models` that nobody answers for."""

    names: bool = False
    models: frozenset[JudgeTask] = frozenset()


EQUIPPED = Lacking()


def load_policies(platform: PlatformSettings, lacking: Lacking = EQUIPPED) -> PolicySet:
    """Read the policies, of which none may ask for what is `lacking`.

    Raises:
        ConfigError: the file cannot be read or is not right; the sentence names the field.
    """
    path = str(platform.config_dir / FILENAME)
    found = parse_policies(platform.load_yaml(FILENAME), path, lambda place: platform.line_of(FILENAME, place))
    wrong = [each for name, one in found.policies.items() for each in _asked_in_vain(name, one.rules, lacking)]
    if wrong:
        told = " ".join(f"{platform.line_of(FILENAME, place)}{'.'.join(place)}: {why}" for place, why in wrong)
        raise ConfigError(f"{path} is not right: {told}")
    return found


def _asked_in_vain(name: str, policy: Policy, lacking: Lacking) -> Iterator[tuple[tuple[str, ...], str]]:
    for section in ("input", "tool_results", "context", "definitions", "output"):
        rules = getattr(policy, section)
        if rules is None:
            continue
        if lacking.names and rules.pii.action_for(PERSON) != "allow":
            yield ("policies", name, section, "pii", "kinds", PERSON), _NO_NAMES
        for task in get_args(JudgeTask):
            # what stands there by itself is asked where a question comes along, which the gateway's policies decide
            asked = getattr(rules.scanners, task, None) if task in rules.scanners.model_fields_set else None
            if asked is not None and task in lacking.models:
                why = f"a model is asked, and there is none. Set {settings_of(task)}, or leave `{task}` out."
                yield ("policies", name, section, "scanners", task), why


class PolicyFile:
    """The policies in force.

    Degraded mode: when the file has become unreadable or wrong, the policies read before stay in force, the reason
    is logged, counted and shown in `error` until the file is right again.
    """

    def __init__(
        self,
        platform: PlatformSettings,
        on_reload: Callable[[Literal["taken", "refused"]], None] = lambda result: None,
        lacking: Lacking = EQUIPPED,
    ) -> None:
        self._platform = platform
        self._lacking = lacking
        self._path = platform.config_dir / FILENAME
        self._on_reload = on_reload
        self._seen = stamp(self._path)
        self.current = load_policies(platform, lacking)
        self.error: str | None = None

    def asked_in_vain(self, policy: Policy) -> Iterator[str]:
        """Yield a sentence for each thing that a policy asks for and that is not there."""
        for place, why in _asked_in_vain("default", policy, self._lacking):
            yield f"{'.'.join(place[2:])}: {why}"

    def refresh(self) -> None:
        """Read the file again and take over what changed."""
        self._seen = stamp(self._path)
        try:
            found = load_policies(self._platform, self._lacking)
        except ConfigError as exc:
            if exc.detail != self.error:
                _log.error("guard policies of version %s stay in force: %s", self.current.version, exc.detail)
                self._on_reload("refused")
            self.error = exc.detail
            return
        self.error = None
        if found != self.current:
            self.current = found
            _log.info("guard policies of version %s are in force", found.version)
            self._on_reload("taken")

    async def watch(self, every_s: float) -> None:
        """Look for changes until cancelled; a file that could not be read is read again at each look."""
        while True:
            await asyncio.sleep(every_s)
            if self.error is not None or stamp(self._path) != self._seen:
                await asyncio.to_thread(self.refresh)
