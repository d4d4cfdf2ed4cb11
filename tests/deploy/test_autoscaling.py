"""KEDA's objects in k8s/: right in their own terms (KEDA 2.19), and pointing to what is there."""

import shutil
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.deploy.parts import ROOT, kustomize

from sluice.contracts.engine import ScalingSignals
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings
from sluice_inference.settings import Settings
from sluice_inference.wiring import load_engines

_WHOLE = {"type": "integer", "minimum": 0}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


_TEXT = {"type": "string"}
# What the scaler `metrics-api` reads of its metadata; everything there is a text.
_METRICS_API = _closed(
    ["url", "valueLocation", "targetValue"],
    **dict.fromkeys(
        ("url", "valueLocation", "targetValue", "activationTargetValue", "format", "unsafeSsl", "authMode"), _TEXT
    ),
)
# The fields of a ScaledObject as KEDA's reference page and its CRDs (2.20, strictly) have them.
_SCALED_OBJECT = _closed(
    ["scaleTargetRef", "triggers"],
    scaleTargetRef=_closed(["name"], apiVersion={"type": "string"}, kind={"type": "string"}, name={"type": "string"}),
    pollingInterval=_WHOLE,
    cooldownPeriod=_WHOLE,
    minReplicaCount=_WHOLE,
    maxReplicaCount=_WHOLE,
    fallback=_closed(
        ["failureThreshold", "replicas"],
        failureThreshold=_WHOLE,
        replicas=_WHOLE,
        behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]},
    ),
    advanced=_closed([], horizontalPodAutoscalerConfig=_closed([], behavior={"type": "object"})),
    triggers={
        "type": "array",
        "minItems": 1,
        "items": _closed(
            ["type", "metadata"],
            type={"const": "metrics-api"},
            name={"type": "string"},
            metricType={"enum": ["AverageValue", "Value"]},
            metadata=_METRICS_API,
            authenticationRef=_closed(["name"], name={"type": "string"}),
        ),
    },
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """Production with vLLM that scales, by kind and name."""
    copy = tmp_path_factory.mktemp("scaled") / "k8s"
    shutil.copytree(ROOT / "k8s", copy)
    folder = copy / "overlays" / "scaled"
    folder.mkdir()
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "sluice",
        "resources": ["../../base"],
        "components": ["../../components/gpu-vllm", "../../components/vllm-autoscaling"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return {(item["kind"], item["metadata"]["name"]): item for item in kustomize(str(folder))}


def test_scaled_objects_have_kedas_fields(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    Draft202012Validator(_SCALED_OBJECT).validate(objects["ScaledObject", "vllm"]["spec"])


def test_the_autoscaler_that_keda_makes_of_it_is_valid(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    spec = objects["ScaledObject", "vllm"]["spec"]
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda-hpa-vllm"},
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            **spec["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }
    kubernetes_validate.validate(made, "1.37", strict=True)


def test_triggers_ask_for_figures_that_are_told_and_divide_only_sums(
    objects: dict[tuple[str, str], dict[str, Any]],
) -> None:
    sums = {"requests", "requests_running", "requests_waiting"}
    triggers = objects["ScaledObject", "vllm"]["spec"]["triggers"]
    assert {one["metadata"]["valueLocation"] for one in triggers} >= {
        "requests_waiting",
        "kv_cache_usage",
        "ttft_p95_s",
    }
    for one in triggers:
        place = one["metadata"]["valueLocation"]
        assert place in ScalingSignals.model_fields
        assert (one["metricType"] == "AverageValue") == (place in sums)
        assert float(one["metadata"]["targetValue"]) > 0


def test_triggers_ask_the_group_where_it_is_with_a_key_that_exists(
    objects: dict[tuple[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    data = objects["ConfigMap", "sluice-platform"]["data"]
    monkeypatch.setenv("SLUICE_VLLM_METRICS_URL", data["SLUICE_VLLM_METRICS_URL"])
    platform: PlatformSettings = platform_settings(tmp_path, config_dir=ROOT / "deploy/config")
    groups = load_engines(platform, Settings(_env_file=None)).scaled
    for one in objects["ScaledObject", "vllm"]["spec"]["triggers"]:
        url = urlsplit(one["metadata"]["url"])
        host = (url.hostname or "").split(".")
        assert host[1:] == [objects["ScaledObject", "vllm"]["metadata"]["namespace"], "svc"]
        assert url.port in {port["port"] for port in objects["Service", host[0]]["spec"]["ports"]}
        assert url.path.removeprefix("/v1/scaling/") in groups
        keys = objects["TriggerAuthentication", one["authenticationRef"]["name"]]["spec"]["secretTargetRef"]
        assert keys == [{"parameter": "token", "name": "sluice-secrets", "key": "SLUICE_ADMIN_KEY"}]
    pods = urlsplit(groups["vllm"].metrics_url)
    service = objects["Service", str(pods.hostname)]
    assert (service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]) == ("None", pods.port)


def test_without_the_variable_no_group_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("SLUICE_VLLM_METRICS_URL", raising=False)
    platform = platform_settings(tmp_path, config_dir=ROOT / "deploy/config")
    assert load_engines(platform, Settings(_env_file=None)).scaled == {}


def test_several_pods_can_read_the_models_and_the_count_is_the_autoscalers(
    objects: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert "replicas" not in objects["Deployment", "vllm"]["spec"]
    assert objects["PersistentVolumeClaim", "vllm-models"]["spec"]["accessModes"] == ["ReadWriteMany"]
    policy = objects["NetworkPolicy", "inference-from-autoscaler"]["spec"]
    assert policy["ingress"][0]["ports"] == [{"port": 8084, "protocol": "TCP"}]
