"""Dashboards, alerts and scrape jobs: they ask only for metrics and labels that the code declares."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
import pytest
import yaml
from tests.deploy.parts import PARTS, ROOT, Part, compose, declared_metrics

PROCESS = {  # what the Python client and Prometheus itself add
    "process_resident_memory_bytes": frozenset[str](),
    "process_cpu_seconds_total": frozenset[str](),
    "process_open_fds": frozenset(),
    "process_max_fds": frozenset(),
    "up": frozenset[str](),
}
ALWAYS = frozenset({"job", "instance"})
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
SCRAPE = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())


@cache
def _known() -> dict[str, frozenset[str]]:
    """Every time series that can exist, with its labels."""
    found = dict(PROCESS)
    for metric in declared_metrics().values():
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = metric.labels | {"le"}
            found[f"{metric.name}_sum"] = found[f"{metric.name}_count"] = metric.labels
        else:
            found[metric.name] = metric.labels
    for group in RULES["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                found[rule["record"]] = frozenset(_aggregated(promql_parser.parse(rule["expr"])))
    return found


def _aggregated(node: Any) -> set[str]:
    modifier = getattr(node, "modifier", None)
    return set(modifier.labels) if type(node).__name__ == "AggregateExpr" and modifier else set()


def _rules() -> Iterator[tuple[str, str]]:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]


def _panels() -> Iterator[tuple[str, str, str]]:
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"], target["legendFormat"]


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None and type(child).__module__.startswith("promql_parser"):
            yield from _walk(child)
    for child in getattr(node, "args", None) or ():
        yield from _walk(child)


def _wrong(expression: str) -> list[str]:
    """What an expression asks for that does not exist."""
    known, found, available = _known(), [], set(ALWAYS)
    nodes = list(_walk(promql_parser.parse(expression.replace("$__rate_interval", "5m"))))
    for node in nodes:
        if type(node).__name__ == "VectorSelector":
            labels = known.get(node.name)
            if labels is None:
                found.append(f"no metric {node.name}")
                continue
            available |= labels
            used = {matcher.name for matcher in node.matchers.matchers}
            found += [f"{node.name} has no label {name}" for name in used - labels - ALWAYS]
    for node in nodes:
        modifier = getattr(node, "modifier", None)
        names = getattr(modifier, "labels", None) or getattr(getattr(modifier, "matching", None), "labels", None) or ()
        found += [f"no label {name} to group by" for name in set(names) - available]
    return found


@pytest.mark.parametrize(("name", "expression"), list(_rules()), ids=[name for name, _ in _rules()])
def test_rules_ask_for_what_exists(name: str, expression: str) -> None:
    assert _wrong(expression) == []


@pytest.mark.parametrize(
    ("name", "expression", "legend"),
    list(_panels()),
    ids=[f"{name} {index}" for index, (name, *_) in enumerate(_panels())],
)
def test_panels_ask_for_what_exists(name: str, expression: str, legend: str) -> None:
    assert _wrong(expression) == []
    labels = {label for selector in _known().values() for label in selector} | ALWAYS
    assert set(re.findall(r"{{\s*(\w+)\s*}}", legend)) <= labels


def test_the_check_finds_what_does_not_exist() -> None:
    assert _wrong("rate(sluice_no_such_total[5m])") == ["no metric sluice_no_such_total"]
    assert _wrong('sluice_http_requests_total{user="me"}') == ["sluice_http_requests_total has no label user"]
    assert _wrong("sum by (user) (sluice_http_requests_total)") == ["no label user to group by"]


def test_dashboard_variables_ask_for_what_exists() -> None:
    known = _known()
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert match, variable["name"]
            assert match.group(2) in known[match.group(1)]


def test_dashboards_have_their_own_ids_and_the_provisioned_source() -> None:
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/sources.yml").read_text())
    known = {source["uid"] for source in sources["datasources"]}
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) >= 2
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        assert {panel["datasource"]["uid"] for panel in board["panels"]} <= known


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_every_part_is_scraped(part: Part) -> None:
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in SCRAPE["scrape_configs"]}
    assert jobs[part.name] == [f"{part.name}:{part.port}"]


def test_scrape_targets_are_containers() -> None:
    services = set(compose()["services"])
    for job in SCRAPE["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            host = target.rpartition(":")[0]
            assert host in services or host == "127.0.0.1", target


def test_the_alert_on_silence_names_every_part() -> None:
    expression = next(expression for name, expression in _rules() if name == "SluiceDown")
    jobs = re.search(r'job=~"([^"]+)"', expression)
    assert jobs
    assert set(jobs.group(1).split("|")) == {part.name for part in PARTS}


def test_every_alert_says_what_to_do() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("page", "ticket")
                assert rule["annotations"]["summary"]
                assert rule["annotations"]["description"]


def test_the_collector_uses_what_it_defines() -> None:
    config = yaml.safe_load((ROOT / "deploy/otel/collector.yaml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
    assert set(config["service"]["extensions"]) <= set(config["extensions"])
