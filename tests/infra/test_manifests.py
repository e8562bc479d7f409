"""Manifests of Kubernetes, Knative and OpenFaaS: valid, consistent, and with no more rights than they need."""

import copy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
import yaml

from facet.settings import Settings
from local import deploy
from local.deploy import pods
from tests.infra import manifests
from tests.infra.conftest import Files
from tests.infra.manifests import ROOT, Document

FOLDERS = [
    ("kubernetes", "app"),
    ("kubernetes", "migrate"),
    ("kubernetes", "keda"),
    ("knative", "app"),
    ("knative", "migrate"),
    ("knative", "keda"),
    ("knative", "rabbitmq-source"),
    ("openfaas", "app"),
    ("openfaas", "migrate"),
    ("openfaas", "keda"),
]
FUNCTIONS = ("openfaas", "functions")
KINDS = {
    *("ConfigMap", "ServiceAccount", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
    *("Ingress", "NetworkPolicy", "CronJob", "Job", "ScaledObject", "TriggerAuthentication", "PingSource"),
    *("RabbitmqSource", "DomainMapping", "Function"),
}
OF_THE_PROCESS = set(
    "FACET_FUNCTION FACET_TIMEOUT FACET_GRACE FACET_THREADS FACET_READY_FILE FACET_SECRETS_DIR".split()
)
OF_KEDA = {"FACET_BROKER_ADDRESS"}
Rendered = Callable[[str], Files]
every_folder = pytest.mark.parametrize(("target", "folder"), FOLDERS)


@pytest.fixture
def found(target: str, folder: str, rendered: Rendered) -> list[Document]:
    return manifests.built(rendered(target), folder)


def all_documents(rendered: Rendered) -> Iterator[Document]:
    for target, folder in FOLDERS:
        yield from manifests.built(rendered(target), folder)
    yield from functions_of_openfaas(rendered)


def functions_of_openfaas(rendered: Rendered) -> list[Document]:
    return manifests.built(rendered("openfaas"), "functions")


@every_folder
def test_a_cluster_takes_each_document(found: list[Document]) -> None:
    for document in found:
        manifests.check(document)


def test_every_function_of_openfaas_is_a_valid_resource_and_entry_of_the_stack(rendered: Rendered) -> None:
    for document in functions_of_openfaas(rendered):
        manifests.check(document)
    (stack,) = manifests.documents(rendered("openfaas")["stack.yml"])
    manifests.validator("openfaas_stack").validate(stack)


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of fields; not those whose keys are the operator's own."""
    if isinstance(value, dict):
        yield value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        free = {"labels", "annotations", "matchLabels", "data", "limits", "requests", "metadata", "selector"}
        free |= {"emptyDir", "environment"}
        if key not in free:
            yield from places(item)


def test_a_misspelt_field_anywhere_is_found_in_every_kind(rendered: Rendered) -> None:
    one_of_each = {(document["apiVersion"], document["kind"]): document for document in all_documents(rendered)}
    assert {kind for _, kind in one_of_each} == KINDS
    for document in one_of_each.values():
        for number in range(len(list(places(document)))):
            wrong = copy.deepcopy(document)
            place = list(places(wrong))[number]
            name = next(iter(place))
            place[f"{name}s"] = place[name]
            with pytest.raises(jsonschema.ValidationError):
                manifests.check(wrong)


def test_a_misspelt_field_of_the_stack_is_found(rendered: Rendered) -> None:
    (stack,) = manifests.documents(rendered("openfaas")["stack.yml"])
    stack["functions"]["facet-api"]["environments"] = {}
    with pytest.raises(jsonschema.ValidationError, match="environments"):
        manifests.validator("openfaas_stack").validate(stack)


def test_a_function_of_openfaas_is_the_same_by_either_way(rendered: Rendered) -> None:
    files = rendered("openfaas")
    ((stack,), (settings,)) = (manifests.documents(files[name]) for name in ("stack.yml", "environment.yml"))
    custom = {document["metadata"]["name"]: document["spec"] for document in functions_of_openfaas(rendered)}
    assert custom.keys() == stack["functions"].keys()
    for name, function in stack["functions"].items():
        assert function["environment_file"] == ["environment.yml"]
        assert custom[name]["environment"] == {**settings["environment"], **function["environment"]}
        assert custom[name]["readOnlyRootFilesystem"] is function["readonly_root_filesystem"] is True
        for field in ("image", "secrets", "labels", "annotations", "limits", "requests"):
            assert custom[name][field] == function[field]


def test_a_function_of_openfaas_is_probed_as_on_kubernetes_and_has_time_for_what_it_began(rendered: Rendered) -> None:
    api = manifests.container(manifests.built(rendered("kubernetes"), "app"), "Deployment", "facet-api")
    for document in functions_of_openfaas(rendered):
        spec = document["spec"]
        for word, name in (("health", "livenessProbe"), ("ready", "readinessProbe")):
            probe = {key: str(value) for key, value in api[name].items() if key != "httpGet"}
            probe |= {"path": api[name]["httpGet"]["path"]}
            assert {f"com.openfaas.{word}.http.{key}": value for key, value in probe.items()}.items() <= (
                spec["annotations"].items()
            )
        own = spec["environment"]
        assert own["FACET_GRACE"] == own["FACET_TIMEOUT"]
        assert int(own["FACET_GRACE"]) < int(own["write_timeout"].removesuffix("s"))


@pytest.mark.parametrize("target", ["kubernetes", "knative", "openfaas"])
def test_keda_asks_the_broker_as_the_consumer_does(rendered: Rendered, target: str) -> None:
    found = manifests.built(rendered(target), "keda")
    consumer = manifests.container(found, "Deployment", "facet-consume-results")
    filled = {"RABBITMQ_HOST": "broker", "RABBITMQ_USER": "ada", "RABBITMQ_VHOST": "avatars"}
    environment = manifests.environment(found, consumer, filled)
    (authentication,) = [each for each in found if each["kind"] == "TriggerAuthentication"]
    told = {each["parameter"]: environment[each["name"]] for each in authentication["spec"]["env"]}
    assert told == {"host": "amqp://broker:5672", "username": "ada", "vhostName": "avatars"}
    (password,) = authentication["spec"]["secretTargetRef"]
    assert password == {"parameter": "password", "name": pods.SECRETS, "key": "RABBITMQ_PASSWORD"}


def test_a_rabbitmqsource_repeats_for_long_but_not_until_the_broker_takes_the_message_back(rendered: Rendered) -> None:
    found = manifests.built(rendered("knative"), "rabbitmq-source")
    delivery = manifests.find(found, "RabbitmqSource", "facet-consume-results")["spec"]["delivery"]
    assert (delivery["backoffPolicy"], delivery["backoffDelay"]) == ("exponential", "PT1S")
    waited = sum(2**attempt for attempt in range(1, delivery["retry"] + 1))
    assert 15 * 60 < waited < 30 * 60


@pytest.mark.parametrize(("target", "folder"), [*FOLDERS, FUNCTIONS])
def test_kustomize_builds_the_same(
    target: str, folder: str, found: list[Document], rendered: Rendered, tmp_path: Path
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which has kustomize in it, is not installed")
    for path, text in rendered(target).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    run = subprocess.run(["kubectl", "kustomize", tmp_path / folder], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

    def in_order(documents: list[Document]) -> list[Document]:
        return sorted(documents, key=lambda each: (each["apiVersion"], each["kind"], each["metadata"]["name"]))

    assert in_order(manifests.documents(run.stdout)) == in_order(found)


@every_folder
def test_names_are_given_once_and_no_namespace_is(found: list[Document]) -> None:
    names = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names)
    assert not [each for each in found if "namespace" in each["metadata"]]


@every_folder
def test_whatever_is_referred_to_is_there(found: list[Document]) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in found} | {("Secret", pods.SECRETS)}
    for _, spec in manifests.pods(found):
        assert ("ServiceAccount", spec["serviceAccountName"]) in there
        for container in spec["containers"]:
            kinds = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
            for source in container["envFrom"]:
                ((key, reference),) = source.items()
                assert (kinds[key], reference["name"]) in there
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            assert mounts == {volume["name"] for volume in spec["volumes"]}
    for target in (place for document in found for place in places(document) if {"kind", "name"} <= place.keys()):
        assert (target["kind"], target["name"]) in there


@every_folder
def test_selectors_choose_the_pods_they_are_for(found: list[Document]) -> None:
    labels = [document["spec"]["template"]["metadata"]["labels"] for document, _ in manifests.deployed(found)]
    for document in found:
        spec = document.get("spec", {})
        chosen = spec.get("podSelector", spec.get("selector", {}))
        chosen = chosen.get("matchLabels", chosen)
        if chosen and labels:
            assert [each for each in labels if chosen.items() <= each.items()], document["metadata"]["name"]
        if document["kind"] == "Deployment":
            assert chosen.items() <= spec["template"]["metadata"]["labels"].items()
            (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
            assert spread["labelSelector"]["matchLabels"] == chosen


@every_folder
def test_every_variable_is_a_setting_or_one_of_the_process(found: list[Document]) -> None:
    source = deploy.read(ROOT / "template.yaml")
    plain = manifests.find(found, "ConfigMap", pods.SETTINGS)["data"]
    assert plain.keys() <= {name.upper() for name in Settings.model_fields}
    assert plain.keys() == {setting.name for setting in source.settings} - {secret.name for secret in source.secrets}
    for _, spec in manifests.pods(found):
        for container in spec["containers"]:
            assert {variable["name"] for variable in container["env"]} <= OF_THE_PROCESS | OF_KEDA


@every_folder
def test_no_container_may_do_more_than_it_needs(found: list[Document]) -> None:
    for _, spec in manifests.pods(found):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert [volume.keys() for volume in spec["volumes"]] == [{"name", "emptyDir"}]
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
            assert (rights["runAsNonRoot"], rights["runAsUser"]) == (True, 10001)
            assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
            assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
            assert container["resources"]["limits"].keys() == {"memory"}


@every_folder
def test_whoever_stops_has_time_for_what_it_began(found: list[Document]) -> None:
    for _, spec in manifests.deployed(found):
        (container,) = spec["containers"]
        own = {variable["name"]: variable["value"] for variable in container["env"]}
        draining = container.get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})
        asleep = int(draining["exec"]["command"][1])
        assert own["FACET_GRACE"] == own["FACET_TIMEOUT"]
        assert int(own["FACET_GRACE"]) + asleep < spec["terminationGracePeriodSeconds"]


@every_folder
def test_limits_are_those_of_the_template(found: list[Document]) -> None:
    functions = deploy.read(ROOT / "template.yaml").template.functions
    seen = 0
    for _, spec in manifests.pods(found):
        for container in spec["containers"]:
            own = {variable["name"]: variable["value"] for variable in container["env"]}
            name = own.get("FACET_FUNCTION") or container["command"][3]
            if name in functions:
                seen += 1
                assert container["resources"]["limits"]["memory"] == f"{max(functions[name].memory, 256)}Mi"
                assert own["FACET_TIMEOUT"] == f"{functions[name].timeout:.0f}"
    assert seen


def test_a_patch_of_kustomize_is_applied_as_a_reader_expects(rendered: Rendered) -> None:
    container = manifests.container(
        manifests.built(rendered("kubernetes"), "keda"), "Deployment", "facet-consume-results"
    )
    environment = manifests.environment(
        manifests.built(rendered("kubernetes"), "keda"), container, {"RABBITMQ_HOST": "broker", "RABBITMQ_PORT": "1"}
    )
    assert environment["FACET_BROKER_ADDRESS"] == "amqp://broker:1"
    assert yaml.safe_load(rendered("kubernetes")["app/results.yaml"])["spec"]["replicas"] == 2
