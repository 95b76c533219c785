"""The manifests as kustomize renders them, held to the API's schemas and to our own policies."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.telemetry.metrics import ServingMetrics
from tests.deployment import DOCKER, compose, judged, make_secrets

Manifest = dict[str, Any]

CLUSTERS = ("1.31", "1.34")
"""Versions of Kubernetes that the manifests have to suit: the oldest and a new one."""
KUBERNETES = DOCKER / "kubernetes"
OVERLAYS = ("staging", "production")
KINDS = {
    *("Namespace", "ServiceAccount", "ConfigMap", "Job", "Deployment", "Service", "Ingress"),
    *("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
}


def rendered(overlay: str) -> list[Manifest]:
    found = judged("kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay))
    return list(yaml.safe_load_all(found))


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


def of_kind(manifests: list[Manifest], kind: str, name: str | None = None) -> list[Manifest]:
    found = [m for m in manifests if m["kind"] == kind and name in (None, m["metadata"]["name"])]
    assert found, (kind, name)
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """By name, the specification of every pod."""
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods(manifests):
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            yield name, container


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_api_takes_every_manifest(manifests: list[Manifest], cluster: str):
    assert {manifest["kind"] for manifest in manifests} == KINDS
    for manifest in manifests:
        kubernetes_validate.validate(manifest, cluster, strict=True)


def test_the_schemas_are_really_asked():
    (deployment,) = of_kind(rendered("staging"), "Deployment", "serving")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, CLUSTERS[-1], strict=True)


def test_no_pod_may_more_than_it_must(manifests: list[Manifest]):
    accounts = {m["metadata"]["name"] for m in of_kind(manifests, "ServiceAccount")}
    for name, pod in pods(manifests):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] == 10001, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] in accounts, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume], name
    for name, container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
    (namespace,) = of_kind(manifests, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_is_bounded_and_names_a_release(manifests: list[Manifest]):
    for name, container in containers(manifests):
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound]), name
        assert re.fullmatch(r"ghcr\.io/bookrec/\w+:\d+\.\d+\.\d+", container["image"]), name


def test_every_deployment_is_probed_at_what_its_image_answers(manifests: list[Manifest]):
    dockerfile = (DOCKER / "Dockerfile").read_text()
    for deployment in of_kind(manifests, "Deployment"):
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] == "http"
            (port,) = container["ports"]
            live = container["livenessProbe"]["httpGet"]["path"]
            assert f"http://127.0.0.1:{port['containerPort']}{live}" in dockerfile


def test_secrets_are_named_and_never_held(manifests: list[Manifest]):
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pods(manifests)
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert mounted == {"bookrec", "mlflow"}
    made = set(make_secrets()["secret_files"]())
    (settings,) = of_kind(manifests, "ConfigMap")
    assert not made & set(settings["data"])
    for _, container in containers(manifests):
        assert not made & {variable["name"] for variable in container.get("env", ())}
    documented = (DOCKER.parent / "docs" / "deployment.md").read_text()
    for name in compose("compose.yaml")["services"]["blue-1"]["secrets"]:
        assert name["source"] in documented


def test_a_network_policy_stands_around_every_pod(manifests: list[Manifest]):
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind(manifests, "NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for manifest in (*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")):
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        name = labels["app.kubernetes.io/name"]
        assert policies[name]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
    assert "ingress" not in policies["migrate"]


def test_the_service_scales_by_metrics_that_there_are(manifests: list[Manifest]):
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    by = {metric["type"]: metric for metric in scaler["spec"]["metrics"]}
    assert by["Resource"]["resource"]["name"] == "cpu"
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter-values.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["name"]["as"] == by["Pods"]["pods"]["metric"]["name"]
    series = rule["seriesQuery"].partition("{")[0]
    metrics = ServingMetrics()
    metrics.latency.labels("/").observe(0.1)
    assert f"\n{series}{{" in metrics.render().decode()

    (deployment,) = of_kind(manifests, "Deployment", "serving")
    assert "replicas" not in deployment["spec"]
    (budget,) = of_kind(manifests, "PodDisruptionBudget")
    assert 0 < budget["spec"]["minAvailable"] < scaler["spec"]["minReplicas"]


def test_what_is_public_leads_to_the_service_and_not_to_its_metrics(manifests: list[Manifest]):
    (ingress,) = of_kind(manifests, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    paths = rule["http"]["paths"]
    assert {path["path"] for path in paths} == {"/api", "/docs", "/openapi.json"}
    (service,) = of_kind(manifests, "Service", "serving")
    assert {p["backend"]["service"]["name"] for p in paths} == {service["metadata"]["name"]}


def test_environments_differ_where_they_should():
    staging, production = (rendered(overlay) for overlay in OVERLAYS)
    for manifests, environment in ((staging, "staging"), (production, "production")):
        (settings,) = of_kind(manifests, "ConfigMap")
        assert settings["data"]["BOOKREC_ENVIRONMENT"] == environment
    hosts = [of_kind(m, "Ingress")[0]["spec"]["rules"][0]["host"] for m in (staging, production)]
    assert len(set(hosts)) == len(hosts)
    stores = [
        of_kind(m, "ConfigMap")[0]["data"]["BOOKREC_STORAGE_URL"] for m in (staging, production)
    ]
    assert len(set(stores)) == len(stores)


def test_airflow_runs_our_image_and_reaches_our_services():
    values = yaml.safe_load((KUBERNETES / "airflow-values.yaml").read_text())
    (settings,) = of_kind(rendered("production"), "ConfigMap")
    told = {variable["name"]: variable["value"] for variable in values["env"]}
    assert values["executor"] == "KubernetesExecutor"
    assert told["BOOKREC_STORAGE_URL"] == settings["data"]["BOOKREC_STORAGE_URL"]
    services = {
        m["metadata"]["name"]: m["spec"] for m in of_kind(rendered("production"), "Service")
    }
    for variable, name in (
        ("BOOKREC_MLFLOW_TRACKING_URI", "mlflow"),
        ("BOOKREC_API__BASE_URL", "serving"),
    ):
        assert told[variable] == f"http://{name}.bookrec:{services[name]['ports'][0]['port']}"
    folder = re.search(r"DAGS_FOLDER=(\S+)", (DOCKER / "Dockerfile").read_text())
    assert folder is not None
    assert values["config"]["core"]["dags_folder"] == folder[1].replace("${PYTHON_VERSION}", "3.11")
    assert values["images"]["airflow"]["tag"] != "latest"
