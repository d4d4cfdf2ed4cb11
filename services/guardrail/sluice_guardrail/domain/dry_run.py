"""Tries a policy that is not in force: what it would have done, in counts, beside what the policy in force does."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sluice.contracts.guard import CheckRequest, DryRunCounts, DryRunReply, DryRunRequest, InputVerdict, OutputVerdict
from sluice.settings import ConfigError
from sluice_guardrail.domain.errors import WrongPolicy
from sluice_guardrail.domain.policy import NamedPolicy, Policy, PolicySet, parse_policies

Verdict = InputVerdict | OutputVerdict
Judge = Callable[[CheckRequest, NamedPolicy], Verdict]


def tried_policy(request: DryRunRequest, in_vain: Callable[[Policy], Iterable[str]]) -> NamedPolicy:
    """Return the policy that is to be tried; `in_vain` says what one asks for and nobody here answers.

    Raises:
        WrongPolicy: names each field that is wrong, as for the file: what would be refused there has no counts.
    """
    try:
        found = parse_policies({"version": "dry run", "policies": {"default": request.policy}}, "The policy").get(
            "default"
        )
    except ConfigError as exc:
        raise WrongPolicy(exc.detail.replace("policies.default.", "")) from exc
    if wrong := " ".join(in_vain(found.rules)):
        raise WrongPolicy(f"The policy is not right: {wrong}")
    return found


def dry_run(request: DryRunRequest, tried: NamedPolicy, current: PolicySet, judge: Judge) -> DryRunReply:
    """Return both policies' counts over the checks of a request; each check names the policy in force that it is compared with.

    Raises:
        UnknownPolicy: a check names a policy that there is not.
    """
    after = [judge(check, tried) for check in request.checks]
    before = [judge(check, current.get(check.policy)) for check in request.checks]
    different = tuple(
        number for number, (new, old) in enumerate(zip(after, before, strict=True)) if _end(new) != _end(old)
    )
    return DryRunReply(
        policy_hash=tried.hash,
        tried=_counts(request.checks, after),
        in_force=_counts(request.checks, before),
        different=different,
    )


def _end(verdict: Verdict) -> tuple[object, ...]:
    shown = verdict.filtered_input if isinstance(verdict, InputVerdict) else verdict.filtered_response
    return verdict.safe, verdict.issues, shown, verdict.filtered_segments


def _counts(checks: Sequence[CheckRequest], verdicts: Sequence[Verdict]) -> DryRunCounts:
    findings: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        for detail in verdict.details:
            findings.setdefault(detail.detector, Counter())[detail.action] += 1
    return DryRunCounts(
        checks=len(checks),
        blocked=sum(not verdict.safe for verdict in verdicts),
        changed=sum(verdict.safe and _changed(verdict) for verdict in verdicts),
        issues=dict(Counter(issue for verdict in verdicts for issue in verdict.issues)),
        findings={name: dict(counted) for name, counted in findings.items()},
    )


def _changed(verdict: Verdict) -> bool:
    return any(detail.action in ("redact", "mask") for detail in verdict.details)
