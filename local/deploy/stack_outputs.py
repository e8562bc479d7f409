"""The manifest of a deployed stack: the rows of `facet functions --json`, with the URLs its outputs tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import manifest
from local.template import load
from local.template.spec import FunctionSpec

_MASKED = "****"  # what CloudFormation tells of a NoEcho parameter


class NoStack(Exception):
    """AWS has no such stack, or does not tell of it; the text says what to do."""


def read(template: Path, stack: str, region: str | None = None) -> list[dict[str, Any]]:
    """A row for each function of the template, as it is with the stack's parameters.

    Raises NoStack, and TemplateError where the template does not fit the stack's parameters.
    """
    found = _described(stack, region)
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if "ApiUrl" not in outputs:
        raise NoStack(
            f"The stack {stack} has no output ApiUrl; its status is {found['StackStatus']}.\n"
            "next: name the stack that `sam deploy` made of this template, or deploy it again"
        )
    origin = outputs["ApiUrl"].removesuffix(parameters.get("PathPrefix", "")).rstrip("/")
    known = {name: value for name, value in parameters.items() if value != _MASKED}
    return [_row(spec, origin, outputs) for spec in load(template, known).functions.values()]


def _row(spec: FunctionSpec, origin: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    url = outputs.get(f"{spec.logical_id.removesuffix('Function')}Url")
    routes = [{"method": route.method, "path": route.path, "url": f"{origin}{route.path}"} for route in spec.routes]
    return manifest.row(spec) | {"url": url, "host_url": url, "routes": routes}


def _described(stack: str, region: str | None) -> dict[str, Any]:
    import boto3  # two tenths of a second
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.session.Session(region_name=region).client("cloudformation")
        found: dict[str, Any] = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        raise NoStack(
            f"AWS does not tell of the stack {stack}: {error.response['Error'].get('Message', error)}\n"
            "next: `aws cloudformation list-stacks` tells which there are; --region names another region"
        ) from error
    except BotoCoreError as error:
        raise NoStack(
            f"AWS cannot be asked for the stack {stack}: {error}\n"
            "next: sign in (`aws sso login`, or AWS_PROFILE=…) and name the region with --region"
        ) from error
    return found
