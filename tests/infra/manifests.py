"""Rendered manifests as a cluster sees them: kustomizations built, schemas applied, a container's environment made."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.29", kubernetes_validate.latest_version())
CORE = ("v1", "apps/", "autoscaling/", "batch/", "networking.k8s.io/", "policy/")
Document = dict[str, Any]


def documents(text: str) -> list[Document]:
    found = yaml.load_all(text, yaml.CSafeLoader)
    return [document for document in found if document]


def built(files: Mapping[str, str], folder: str) -> list[Document]:
    """What `kubectl kustomize` makes of the folder, as far as Facet uses kustomize."""
    (kustomization,) = documents(files[f"{folder}/kustomization.yaml"])
    assert set(kustomization) <= {"apiVersion", "kind", "resources", "patches"}
    found: list[Document] = []
    for resource in kustomization["resources"]:
        path = normpath(str(PurePosixPath(folder) / resource))
        found += documents(files[path]) if path.endswith(".yaml") else built(files, path)
    for patch in kustomization.get("patches", ()):
        text = files[f"{folder}/{patch['path']}"] if "path" in patch else patch["patch"]
        found = _patched(found, patch, yaml.safe_load(text))
    return found


def _patched(found: list[Document], patch: Mapping[str, Any], operations: Any) -> list[Document]:
    if "path" in patch:
        assert patch["target"].keys() == {"kind"}
        of_kind = [each for each in found if each["kind"] == patch["target"]["kind"]]
        assert of_kind
        return [_merged(each, {"spec": operations["spec"]}) if each in of_kind else each for each in found]
    if isinstance(operations, dict):
        assert operations["$patch"] == "delete"
        gone = find(found, operations["kind"], operations["metadata"]["name"])
        return [document for document in found if document is not gone]
    target = find(found, **patch["target"])
    for operation in operations:
        *way, last = operation["path"].strip("/").split("/")
        place: Any = target
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        if operation["op"] == "remove":
            del place[last]
        else:
            assert (operation["op"], last) == ("add", "-")
            place.append(operation["value"])
    return found


def _merged(document: Document, patch: Mapping[str, Any]) -> Document:
    """The mappings of a custom resource, of which kustomize knows no more."""
    given = {
        key: _merged(document.get(key, {}), item) if isinstance(item, dict) else item for key, item in patch.items()
    }
    return {**document, **given}


def find(found: list[Document], kind: str, name: str) -> Document:
    (document,) = [each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return document


def check(document: Document) -> None:
    """Raises jsonschema.ValidationError for what its schema does not have."""
    _check(json.dumps(document))


@cache
def _check(text: str) -> None:
    document = json.loads(text)
    if document["apiVersion"].startswith(CORE):
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
        return
    name = f"{document['apiVersion'].replace('/', '_')}_{document['kind']}"
    validator(name).validate(document)


@cache
def validator(name: str) -> Any:
    """What validates by that schema, which is looked at once: that takes longer than all documents."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def pods(found: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Each document with pods, and their spec."""
    for document in found:
        spec = document.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec
        if "template" in spec:
            yield document, spec["template"]["spec"]


def deployed(found: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Deployments alone."""
    return ((document, spec) for document, spec in pods(found) if document["kind"] == "Deployment")


def container(found: list[Document], kind: str, name: str) -> Document:
    (only,) = dict(pods_by_name(found))[kind, name]["containers"]
    assert isinstance(only, dict)
    return only


def pods_by_name(found: list[Document]) -> Iterator[tuple[tuple[str, str], Document]]:
    return (((document["kind"], document["metadata"]["name"]), spec) for document, spec in pods(found))


def environment(found: list[Document], running: Document, secrets: Mapping[str, str]) -> dict[str, str]:
    """What the kubelet gives the container: the sources in order, then its own variables, $(NAME) filled in."""
    given: dict[str, str] = {}
    for source in running["envFrom"]:
        if reference := source.get("configMapRef"):
            given |= find(found, "ConfigMap", reference["name"])["data"]
        else:
            given |= secrets
    for variable in running["env"]:
        given[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], variable["value"])
    return given
