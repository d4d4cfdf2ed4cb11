"""A report as Markdown, for a pull request or a chat."""

from sluice.contracts.evals import EvalCounts, EvalReport, Interval

_CELL = 200


def to_markdown(report: EvalReport) -> str:
    """Return the report as a Markdown page."""
    lines = [
        f"# {_text(report.eval_name)} v{report.eval_version}: {_rate(report.pass_rate)} passed",
        "",
        f"- model: `{_code(report.model)}`" + _served(report),
        f"- run: `{report.run_id}`, {report.status}" + (f": {_text(report.error)}" if report.error else ""),
        f"- suite: `{report.eval_id}`, content `{report.content_hash[:16]}`",
        f"- passed {report.counts.passed} of {_with_result(report.counts)} (95 % interval {_interval(report.interval)})",
        f"- failed {report.counts.failed}, unparseable {report.counts.unparseable}, errors {report.counts.error}"
        + (f", **without a result {report.counts.pending}**" if report.counts.pending else ""),
        f"- tokens: {report.prompt_tokens} in, {report.completion_tokens} out"
        + (f"; {report.cut_answers} answers were cut at the token limit" if report.cut_answers else ""),
    ]
    if report.latency:
        lines.append(f"- latency: p50 {report.latency.p50_s:.2f} s, p95 {report.latency.p95_s:.2f} s")
    if report.cost_usd is not None:
        lines.append(f"- cost: ${report.cost_usd:.6f}")
    lines += ["", "| scorer | items | passed | failed | unparseable | errors | pass rate | 95 % interval |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    lines += [
        f"| {row.scorer} | {_numbers(row.counts)} | {_rate(row.pass_rate)} | {_interval(row.interval)} |"
        for row in report.scorers
    ]
    if report.failures:
        lines += ["", "## What did not pass", "", "| item | outcome | why | answer |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {_text(item.id)} | {item.outcome} | {_text(item.reason)} | {_text(item.answer or '')} |"
            for item in report.failures
        ]
    if report.omitted_failures:
        lines += ["", f"… and {report.omitted_failures} more."]
    return "\n".join(lines) + "\n"


def _served(report: EvalReport) -> str:
    others = {name: n for name, n in report.served_models.items() if name != report.model}
    if not others:
        return ""
    return " (answered by " + ", ".join(f"`{_code(name)}` {n}×" for name, n in others.items()) + ")"


def _numbers(counts: EvalCounts) -> str:
    return f"{counts.total} | {counts.passed} | {counts.failed} | {counts.unparseable} | {counts.error}"


def _with_result(counts: EvalCounts) -> int:
    return counts.total - counts.pending


def _rate(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"


def _interval(value: Interval | None) -> str:
    return "n/a" if value is None else f"{100 * value.low:.1f} to {100 * value.high:.1f} %"


def _text(value: str) -> str:
    # A model's words must not become markup: no cell ends early, no tag, no link, no heading.
    flat = " ".join(value.split())
    flat = flat if len(flat) <= _CELL else flat[:_CELL] + "…"
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|!~" else char for char in flat)


def _code(value: str) -> str:
    return value.replace("`", "'")
