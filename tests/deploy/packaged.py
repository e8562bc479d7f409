"""The zip file that `chalice package` makes, under AWS's own runtime, and what is around it in its stack."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx

from local import deploy
from local.events import Shape
from tests.conftest import PROJECT
from tests.deploy.deployed import Deployed


class Packaged(Deployed):
    """Its functions that answer HTTP are one, behind one API: none has a URL."""

    def http(self, function: str | None = None, *, shape: Shape | None = None, **options: Any) -> httpx.Client:
        return super().http(None, shape=shape, **options)


def unpacked(out: Path, folder: Path, settings: Mapping[str, str]) -> Path:
    """`folder` with the code, and the template as CloudFormation would have it, its secret looked up."""
    with ZipFile(out / "deployment.zip") as archive:
        archive.extractall(folder / "task")
    template = json.loads((out / "sam.json").read_text())
    resources = template["Resources"]
    names = [each.name for each in deploy.read(PROJECT / "template.yaml").secrets]
    secrets = {name: settings[name] for name in names if name in settings}
    template["Globals"]["Function"]["Environment"]["Variables"]["FACET_SECRETS"] = json.dumps(secrets)
    for each in resources.values():
        if each["Type"] == "AWS::Serverless::Function":
            each["Properties"]["CodeUri"] = "task"
    paths = resources["RestAPI"]["Properties"].pop("DefinitionBody")["paths"]
    resources["APIHandler"]["Properties"]["Events"] = {
        f"{method} {path}": _event("Api", Method=method, Path=path, RestApiId={"Ref": "RestAPI"})
        for path, methods in paths.items()
        for method in methods
    }
    for name, mapping in _mappings(resources).items():
        properties = mapping["Properties"]
        function = resources[properties.pop("FunctionName")["Ref"]]["Properties"]
        function["Events"] = {name: _event("MQ", Broker=properties.pop("EventSourceArn"), **properties)}
        del resources[name]
    (folder / "template.yaml").write_text(json.dumps(template))
    return folder


def _mappings(resources: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in resources.items() if each["Type"] == "AWS::Lambda::EventSourceMapping"}


def _event(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}
