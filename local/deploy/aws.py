"""The same stack on AWS with one container image in place of zip files and layers: a template of its own."""

from collections.abc import Mapping
from typing import Any

from local.deploy import Source
from local.deploy.documents import text
from local.template.intrinsics import parse

_OF_ZIPS = ("CodeUri", "Handler", "Layers", "Runtime")
_ABOUT = (
    "Rendered from template.yaml by `facet deploy render aws`. ImageUri is the image of target `lambda` of "
    "infra/containers/Dockerfile in a repository of Amazon ECR."
)


def render(source: Source) -> dict[str, str]:
    document = _plain(parse(source.template.path.read_text(encoding="utf-8")))
    for key in _OF_ZIPS:
        document["Globals"]["Function"].pop(key, None)
    modules = {spec.logical_id: spec.module for spec in source.template.functions.values()}
    image = {"Type": "String", "Description": "Repository and tag or digest in ECR, in this region"}
    document["Parameters"] = {"ImageUri": image, **document["Parameters"]}
    document["Resources"] = {
        name: _of_image(resource, f"{modules[name]}.app") if name in modules else resource
        for name, resource in document["Resources"].items()
        if resource["Type"] != "AWS::Serverless::LayerVersion"
    }
    return {"image.yaml": text(_ABOUT, document)}


def _of_image(function: Mapping[str, Any], command: str) -> dict[str, Any]:
    properties = {key: value for key, value in function["Properties"].items() if key not in _OF_ZIPS}
    image = {"PackageType": "Image", "ImageUri": {"Ref": "ImageUri"}, "ImageConfig": {"Command": [command]}}
    return {**function, "Properties": {**image, **properties}}


def _plain(value: Any) -> Any:
    """Without the places of lines, and with names and attributes apart, as CloudFormation's JSON has them."""
    if isinstance(value, dict):
        attribute = value.get("Fn::GetAtt")
        if isinstance(attribute, str):
            return {"Fn::GetAtt": attribute.split(".", 1)}
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
