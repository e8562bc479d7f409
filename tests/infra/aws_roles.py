"""What template.yaml lets each function do on AWS: the statements of its role, resolved as the stack would."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from local.template import function_name
from local.template.intrinsics import Resolver, parse
from local.template.parameters import parameter_values
from local.template.properties import Properties

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
ACTIONS = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketCors": "PutBucketCORS",
    "GET": "GetObject",
    "PUT": "PutObject",
}


@dataclass(frozen=True)
class Right:
    action: str
    resource: str

    def covers(self, action: str, resource: str) -> bool:
        return self.action == action and fnmatchcase(resource, self.resource)


def rights(settings: Mapping[str, str]) -> dict[str, list[Right]]:
    """By function, without what every role has: a log, and in a VPC its network interfaces."""
    document = parse(TEMPLATE.read_text())
    parameters: dict[str, Any] = {}
    resolver = Resolver(document, parameters)
    declared = Properties(document, resolver, file=TEMPLATE, where="template").part("Parameters")
    parameters |= parameter_values(declared, settings)
    resources = document["Resources"]
    functions = {name: each for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    return {
        function_name(name): _of_role(resources[_role(each)]["Properties"], resolver)
        for name, each in functions.items()
    }


def _role(function: Mapping[str, Any]) -> str:
    name, _, attribute = function["Properties"]["Role"]["Fn::GetAtt"].partition(".")
    assert attribute == "Arn"
    return str(name)


def _of_role(role: Mapping[str, Any], resolver: Resolver) -> list[Right]:
    found = []
    for policy in resolver.resolve(role["Policies"]):
        for statement in policy["PolicyDocument"]["Statement"] if policy["PolicyName"] == "Own" else ():
            assert statement["Effect"] == "Allow"
            found += [Right(action, resource) for action in statement["Action"] for resource in statement["Resource"]]
    return found


class Forbidden(Exception):
    """A function did what its role on AWS does not let it do."""


class Watch:
    """Holds every call to S3, and every URL that is signed, against the role of the function that is running."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._rights = rights(settings)

    def check(self, operation: str, bucket: str, key: str | None = None) -> None:
        function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        if function not in self._rights:  # the test itself, or another runtime's front
            return
        action = f"s3:{ACTIONS.get(operation, operation)}"
        resource = f"arn:aws:s3:::{bucket}" if key is None else f"arn:aws:s3:::{bucket}/{key}"
        if not any(right.covers(action, resource) for right in self._rights[function]):
            raise Forbidden(f"{function}: {action} on {resource}; next: add it to the function's role in template.yaml")

    def install(self, patch: pytest.MonkeyPatch) -> None:
        from facet import objects, presigning

        call, presign = objects._call, presigning.presign

        @contextmanager
        def watched(operation: str, bucket: str, key: str | None = None) -> Iterator[None]:
            self.check(operation, bucket, key)
            calling: AbstractContextManager[None] = call(operation, bucket, key)
            try:
                with calling:
                    yield
            except objects.NotFound:
                self.check("ListBucket", bucket)  # without it S3 says 403 of an object that is missing
                raise

        def signed(method: str, url: str, **how: Any) -> str:
            bucket, _, key = url.partition("://")[2].partition("/")[2].partition("/")
            self.check(method, bucket, key)
            return presign(method, url, **how)

        patch.setattr(objects, "_call", watched)
        patch.setattr(presigning, "presign", signed)
