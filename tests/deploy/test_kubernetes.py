"""The Kubernetes manifests: built by kustomize, valid by the strict schema, and complete."""

import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.deploy.parts import (
    PARTS,
    ROOT,
    SECRETS,
    SERVICE_PARTS,
    Part,
    compose,
    config_variables,
    kustomize,
    setting_variables,
)

from sluice_inference.domain.specs import LlamaCppSpec

OVERLAYS = ["k8s/base", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "k8s/overlays").iterdir())]
VERSIONS = ["1.30", "1.37"]
Manifest = dict[str, Any]


def _workloads(folder: str) -> list[Manifest]:
    return [item for item in kustomize(folder) if item["kind"] in ("Deployment", "StatefulSet")]


def _ours(folder: str) -> list[Manifest]:
    tier = "sluice.dev/tier"
    return [item for item in _workloads(folder) if item["metadata"]["labels"][tier] == "service"]


def _containers(folder: str) -> dict[str, Manifest]:
    return {
        container["name"]: container
        for item in _workloads(folder)
        for container in item["spec"]["template"]["spec"]["containers"]
    }


def _named(folder: str, kind: str) -> dict[str, Manifest]:
    return {item["metadata"]["name"]: item for item in kustomize(folder) if item["kind"] == kind}


@pytest.fixture(scope="module")
def with_components(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An overlay as a user writes it: all components, and configuration files of his own."""
    copy = tmp_path_factory.mktemp("cluster") / "k8s"
    shutil.copytree(ROOT / "k8s", copy)
    overlay = copy / "overlays" / "mine"
    shutil.copytree(ROOT / "deploy/config", overlay)
    files = sorted(path.name for path in overlay.glob("*.yaml"))
    components = sorted(path.name for path in (copy / "components").iterdir())
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "mine",
        "resources": ["../../base"],
        "components": [f"../../components/{name}" for name in components],
        "configMapGenerator": [{"name": "sluice-config", "files": files}],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return str(overlay)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_strict_schema_accepts_everything(folder: str, version: str) -> None:
    for item in kustomize(folder):
        kubernetes_validate.validate(item, version, strict=True)


def test_components_fit_together(with_components: str) -> None:
    for item in kustomize(with_components):
        if not item["apiVersion"].startswith("keda.sh/"):  # whose own shapes test_autoscaling.py knows
            kubernetes_validate.validate(item, VERSIONS[-1], strict=True)
    config = next(name for name in _named(with_components, "ConfigMap") if name.startswith("sluice-config-"))
    for item in _ours(with_components):
        pod = item["spec"]["template"]["spec"]
        assert {"name": "config", "configMap": {"name": config}} in pod["volumes"]
        paths = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert {f"/etc/sluice/{path.name}" for path in (ROOT / "deploy/config").glob("*.yaml")} <= paths
    assert _named(with_components, "ConfigMap")["sluice-platform"]["data"]["SLUICE_VLLM_URL"] == "http://vllm:8000/v1"


@pytest.mark.parametrize("part", PARTS, ids=[part.name for part in PARTS])
def test_every_part_has_a_container_with_its_port(part: Part) -> None:
    found = _containers("k8s/base")[part.name]
    assert found["image"] == f"sluice/{part.service}:0.1.0"
    assert found["args"] == ["worker" if part.is_worker else "serve"]
    assert part.port in {port["containerPort"] for port in found["ports"]}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_engines_of_adapters_can_be_reached(folder: str) -> None:
    if "inference" not in _named(folder, "Service"):
        return  # an overlay without engines
    fields = LlamaCppSpec.model_fields
    first = fields["port"].default
    wanted = {first + number for number in range(fields["max_adapters"].default + 1)}
    assert wanted <= {port["port"] for port in _named(folder, "Service")["inference"]["spec"]["ports"]}
    assert wanted <= {port["containerPort"] for port in _containers(folder)["inference"]["ports"]}
    policy = _named(folder, "NetworkPolicy")["services-from-services"]["spec"]["ingress"]
    assert all("ports" not in rule for rule in policy), "a list of ports would have to name those of adapters"


@pytest.mark.parametrize("part", SERVICE_PARTS, ids=[part.name for part in SERVICE_PARTS])
def test_every_service_has_service_account_and_budget(part: Part) -> None:
    service = _named("k8s/base", "Service")[part.name]
    assert part.port in {port["port"] for port in service["spec"]["ports"]}
    assert _named("k8s/base", "ServiceAccount")[part.name]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("folder", OVERLAYS)
def test_services_select_pods_that_have_their_ports(folder: str) -> None:
    pods = [
        (item["spec"]["template"]["metadata"]["labels"], item["spec"]["template"]["spec"])
        for item in _workloads(folder)
    ]
    for service in _named(folder, "Service").values():
        selector = service["spec"]["selector"].items()
        matches = [spec for labels, spec in pods if selector <= labels.items()]
        assert len(matches) == 1, service["metadata"]["name"]
        ports = {port["name"]: port["containerPort"] for c in matches[0]["containers"] for port in c["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_container_is_probed_limited_and_without_rights(folder: str) -> None:
    for name, container in _containers(folder).items():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe], name
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"]["memory"], name
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
    for item in _workloads(folder):
        pod = item["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "a Service named X would set X_PORT in every container"


def test_our_probes_ask_the_right_pages() -> None:
    for item in _ours("k8s/base"):
        for container in item["spec"]["template"]["spec"]["containers"]:
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_every_variable_is_known_and_every_secret_is_asked_for() -> None:
    known = set(setting_variables()) | config_variables()
    platform = _named("k8s/base", "ConfigMap")["sluice-platform"]["data"]
    assert set(platform) - known == set()
    for item in _ours("k8s/base"):
        for container in item["spec"]["template"]["spec"]["containers"]:
            variables = {variable["name"]: variable for variable in container["env"]}
            assert {name for name in variables if name.startswith("SLUICE_")} - known == set()
            for secret in SECRETS:
                reference = variables[secret]["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "sluice-secrets"
                assert reference["key"] == secret


def test_urls_point_to_services_that_exist() -> None:
    services = _named("k8s/base", "Service")
    platform = _named("k8s/base", "ConfigMap")["sluice-platform"]["data"]
    for part in SERVICE_PARTS:
        assert platform[f"SLUICE_{part.name.upper()}_URL"] == f"http://{part.name}:{part.port}"
        assert part.name in services
    assert {"postgres", "redis", "qdrant"} <= set(services)


def test_no_secret_is_in_the_manifests() -> None:
    for folder in OVERLAYS:
        assert _named(folder, "Secret") == {}


def test_images_of_others_are_those_of_compose() -> None:
    theirs = {service["image"] for service in compose()["services"].values()}
    for name, container in _containers("k8s/base").items():
        assert container["image"] in theirs, name


def test_stores_keep_their_data() -> None:
    for name in ("postgres", "redis", "qdrant", "gateway"):
        found = next(item for item in _workloads("k8s/base") if item["metadata"]["name"] == name)
        assert found["kind"] == "StatefulSet"
        assert [claim["metadata"]["name"] for claim in found["spec"]["volumeClaimTemplates"]] == ["data"]


def test_nothing_is_reachable_that_no_policy_names() -> None:
    policies = _named("k8s/base", "NetworkPolicy")
    assert policies["deny-ingress"]["spec"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "sluice"}},
        "policyTypes": ["Ingress"],
    }
    open_to_all = [
        name for name, policy in policies.items() for rule in policy["spec"].get("ingress", []) if "from" not in rule
    ]
    assert open_to_all == ["gateway-from-anywhere"]


def test_every_part_is_scraped_in_production() -> None:
    found = set()
    for item in [*_ours("k8s/overlays/production"), *_named("k8s/overlays/production", "Service").values()]:
        template = item["spec"].get("template", item)
        notes = template["metadata"].get("annotations", {})
        if notes.get("prometheus.io/scrape") == "true":
            found.add(int(notes["prometheus.io/port"]))
            assert notes["prometheus.io/path"] == "/metrics"
    assert found == {part.port for part in PARTS}


def test_kustomization_folders_have_no_stray_files() -> None:
    for folder in [path.parent for path in (ROOT / "k8s").rglob("kustomization.yaml")]:
        text = (folder / "kustomization.yaml").read_text()
        for path in folder.rglob("*.yaml"):
            if path.name != "kustomization.yaml" and not any(
                (parent / "kustomization.yaml").exists() and parent != folder
                for parent in path.parents
                if parent.is_relative_to(folder)
            ):
                assert str(path.relative_to(folder)) in text, Path(path)
