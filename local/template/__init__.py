"""Reads a SAM template: the functions, what invokes them and the settings they get."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from local.template.intrinsics import MissingParameter, Resolver, Unresolved, parse, setting_name
from local.template.parameters import parameter_values
from local.template.properties import Notes, Properties, TemplateError
from local.template.sources import Sources, cors_of
from local.template.spec import Asynchronous, FunctionSpec, FunctionUrl, QueueMapping, Route, Schedule

__all__ = ["FunctionSpec", "QueueMapping", "Route", "Schedule", "Template", "TemplateError", "load"]

# Properties that change nothing on one machine: who may do what, how it is watched, what it is called in the account.
HARMLESS = frozenset(
    {
        "Architectures",
        "AssumeRolePolicyDocument",
        "AutoPublishAlias",
        "AutoPublishAliasAllProperties",
        "AutoPublishCodeSha256",
        "CodeSigningConfigArn",
        "DeploymentPreference",
        "Description",
        "KmsKeyArn",
        "LoggingConfig",
        "PermissionsBoundary",
        "Policies",
        "PropagateTags",
        "Role",
        "Runtime",
        "RuntimeManagementConfig",
        "Tags",
        "Tracing",
        "VersionDescription",
        "VpcConfig",
    }
)
MOST_ENVIRONMENT_BYTES = 4096
_DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):")
HANDLED_TYPES = frozenset(f"AWS::Serverless::{name}" for name in ("Function", "LayerVersion", "HttpApi", "Api"))
INVOKING_TYPES = frozenset(
    {
        "AWS::Lambda::Function",
        "AWS::Lambda::Url",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Events::Rule",
        "AWS::Scheduler::Schedule",
    }
)


@dataclass(frozen=True)
class Template:
    path: Path
    functions: Mapping[str, FunctionSpec]
    warnings: list[str]
    """What the template says and the emulator does not do, by function and property."""
    missing: tuple[str, ...]
    """Settings (as in `.env`) that functions need and that have neither value nor default."""
    requirements: tuple[Path, ...]
    """The requirements files of layers and functions."""
    settings: frozenset[str] = frozenset()
    """The names that its parameters take their values from: `PostgresHost` is POSTGRES_HOST."""
    harmless: tuple[tuple[str, str], ...] = ()
    """Resources and properties that exist in the cloud only and whose absence changes nothing here."""

    def named(self, given: str) -> FunctionSpec | None:
        """The function of this name, of this logical id or with this FunctionName."""
        others = (spec for spec in self.functions.values() if given and given in (spec.logical_id, spec.alias))
        return self.functions.get(given) or next(others, None)

    @property
    def routes(self) -> list[Route]:
        return [route for spec in self.functions.values() for route in spec.routes]

    @property
    def queues(self) -> list[QueueMapping]:
        return [queue for spec in self.functions.values() for queue in spec.queues]

    @property
    def schedules(self) -> list[Schedule]:
        return [schedule for spec in self.functions.values() for schedule in spec.schedules]


def load(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """Read the template. `parameters` are settings: parameter `PostgresHost` takes POSTGRES_HOST.

    Raises TemplateError. A parameter without a value does not fail here: it is named in `Template.missing`.
    """
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise TemplateError(f"{path}: cannot be read: {exc.strerror}") from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise TemplateError(f"{path}:{line}: this is no YAML: {exc.problem}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise TemplateError(f"{path}: this is no YAML: {exc}") from exc
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path}: there is no mapping named Resources, so this is no SAM template")
    return _Reader(path.resolve(), document, parameters or {}).read()


class _Reader:
    def __init__(self, path: Path, document: dict[str, Any], settings: Mapping[str, str]) -> None:
        self._path, self._root = path, path.parent
        parameters: dict[str, Any] = {}
        self._resolver = Resolver(document, parameters)
        whole = Properties(document, self._resolver, file=path, where="template")
        declared = whole.part("Parameters")
        parameters |= parameter_values(declared, settings)
        self._settings = frozenset(map(setting_name, declared))
        self._resources = whole.part("Resources").parts()
        for logical_id, resource in self._resources.items():
            resource.where = logical_id
        self._globals = whole.part("Globals")
        self._notes = Notes()
        self._warnings = self._notes.warnings
        self._missing: dict[str, None] = {}
        self._requirements: dict[Path, None] = {}
        self._sources = Sources(self._resources, self._globals, self._notes)

    def read(self) -> Template:
        functions: dict[str, FunctionSpec] = {}
        for logical_id, resource in self._resources.items():
            try:
                spec = self._resource(logical_id, resource)
            except Unresolved as exc:
                raise resource.error(str(exc)) from exc
            if spec and spec.name in functions:
                raise resource.error(f"{functions[spec.name].logical_id} already is the function {spec.name}")
            if spec:
                functions[spec.name] = spec
        missing, requirements, harmless = tuple(self._missing), tuple(self._requirements), tuple(self._notes.harmless)
        return Template(self._path, functions, self._warnings, missing, requirements, self._settings, harmless)

    def _resource(self, logical_id: str, resource: Properties) -> FunctionSpec | None:
        condition = resource.text("Condition", None)
        if condition is not None and not self._resolver.condition(condition):
            return None
        kind = resource.text("Type")
        if kind == "AWS::Serverless::Function":
            spec = self._function(logical_id, resource.part("Properties").over(self._globals.part("Function")))
            return spec and replace(spec, clears_records=self._clears_records(resource.part("Metadata").part("Facet")))
        looks_like_one = kind.endswith("::Function") and kind != "AWS::CloudFront::Function"  # or is misspelt
        if (
            looks_like_one
            or kind in INVOKING_TYPES
            or (kind.startswith("AWS::Serverless::") and kind not in HANDLED_TYPES)
        ):
            self._warnings.append(f"{logical_id}: {kind} is not emulated")
        elif kind not in HANDLED_TYPES:
            self._notes.harmless.append((logical_id, kind))
        return None

    def _function(self, logical_id: str, properties: Properties) -> FunctionSpec | None:
        properties.where = logical_id
        name = function_name(logical_id)
        if reason := _foreign(properties):
            self._warnings.append(f"{logical_id}: {reason} is not emulated")
            return None
        code = self._folder(properties, "CodeUri")
        self._require(code / "requirements.txt")
        handler = properties.text("Handler")
        routes, queues, schedules = self._sources.read(name, properties.part("Events"))
        spec = FunctionSpec(
            name=name,
            logical_id=logical_id,
            handler=handler,
            module=self._module(code, handler),
            code=code,
            layers=self._layers(properties),
            timeout=float(properties.whole("Timeout", 3, low=1, high=900)),
            memory=properties.whole("MemorySize", 128, low=128, high=10_240),
            environment=self._environment(properties.part("Environment").part("Variables")),
            reserved_concurrency=properties.whole("ReservedConcurrentExecutions", None),
            provisioned_concurrency=properties.part("ProvisionedConcurrencyConfig").whole(
                "ProvisionedConcurrentExecutions", 0
            ),
            ephemeral_storage=properties.part("EphemeralStorage").whole("Size", 512, low=512, high=10_240),
            url=self._url(properties),
            routes=routes,
            queues=queues,
            schedules=schedules,
            asynchronous=self._asynchronous(properties.part("EventInvokeConfig")),
            alias=_alias(properties),
        )
        self._notes.unread(properties, HARMLESS)
        if spec.environment_bytes > MOST_ENVIRONMENT_BYTES:
            size = f"{spec.environment_bytes:,} bytes of variables, AWS refuses more than {MOST_ENVIRONMENT_BYTES:,}"
            self._warnings.append(f"{logical_id}.Environment: {size}")
        return spec

    def _clears_records(self, metadata: Properties) -> bool:
        clears = metadata.flag("ClearsRecords")
        self._warnings += [f"{metadata.where}: {key} is not known" for key in metadata.unread(())]
        return clears

    def _folder(self, properties: Properties, key: str) -> Path:
        uri: str = properties.text(key)
        folder: Path = (self._root / uri).resolve()
        if not folder.is_dir():
            raise properties.error(f"there is no folder {uri} beside the template", key)
        return folder

    def _module(self, code: Path, handler: str) -> str:
        """A name no other handler has, so that tools may load many of them: `functions.create_task.handler`."""
        parts = code.relative_to(self._root).parts if code.is_relative_to(self._root) else (code.name,)
        names = [re.sub(r"\W", "_", part) for part in parts]
        return ".".join([*names, *handler.replace("/", ".").split(".")[:-1]])

    def _environment(self, variables: Properties) -> dict[str, str]:
        environment = {}
        for name in variables:
            try:
                value = variables.text(name, None)
            except MissingParameter as exc:
                self._missing[setting_name(exc.name)] = None
            else:
                if value is not None and not self._is_dynamic(name, value):
                    environment[name] = value
        return environment

    def _is_dynamic(self, name: str, value: str) -> bool:
        """Whether AWS's stores would have to be asked for it, of which there are none here."""
        found = _DYNAMIC_REFERENCE.search(value)
        warning = f"{name}: {found[0]}… is not looked up, so it is not set here" if found else ""
        if found and warning not in self._warnings:
            self._warnings.append(warning)
        return found is not None

    def _asynchronous(self, config: Properties) -> Asynchronous:
        destinations = config.part("DestinationConfig")
        found = Asynchronous(
            config.whole("MaximumRetryAttempts", 2, low=0, high=2),
            float(config.whole("MaximumEventAgeInSeconds", 21_600, low=60, high=21_600)),
            self._destination(destinations, "OnFailure"),
            self._destination(destinations, "OnSuccess"),
        )
        unread = [(each, key) for each in (config, destinations) for key in each.unread(())]
        self._warnings += [f"{each.where}: {key} is not emulated" for each, key in unread]
        return found

    def _destination(self, config: Properties, key: str) -> str | None:
        """The function that is told how an event ended."""
        if key not in config:
            return None
        part = config.part(key)
        target = part.text("Destination", part.text("Type", ""))
        given = target.rpartition(":")[2]
        for logical_id, resource in self._resources.items():
            if resource.text("Type") == "AWS::Serverless::Function" and given in (
                logical_id,
                _alias(resource.part("Properties")),
            ):
                return function_name(logical_id)
        self._warnings.append(f"{part.where}: {given} is no function of this template")
        return None

    def _url(self, properties: Properties) -> FunctionUrl | None:
        if "FunctionUrlConfig" not in properties:
            return None
        config = properties.part("FunctionUrlConfig")
        if config.text("InvokeMode", "BUFFERED") != "BUFFERED":
            self._warnings.append(f"{config.where}.InvokeMode: responses are buffered here")
        auth_type = config.text("AuthType")
        cors = cors_of(config, "Cors")
        self._notes.unread(config)
        return FunctionUrl(auth_type, cors)

    def _layers(self, properties: Properties) -> tuple[Path, ...]:
        found: dict[Path, None] = {}
        for layer_id in properties.texts("Layers"):
            resource = self._resources.get(layer_id)
            if resource is None or resource.text("Type") != "AWS::Serverless::LayerVersion":
                self._warnings.append(f"{properties.where}.Layers: {layer_id} is not in this template")
                continue
            folder = self._folder(resource.part("Properties"), "ContentUri")
            self._require(folder / "requirements.txt")
            self._require(folder / "python" / "requirements.txt")
            if (folder / "python").is_dir():
                found[folder / "python"] = None
            elif "Metadata" in resource and any(folder.glob("**/*.py")):
                found[folder] = None
        return tuple(found)

    def _require(self, requirements: Path) -> None:
        if requirements.is_file():
            self._requirements[requirements] = None


def _alias(properties: Properties) -> str:
    """Its FunctionName; one that only the cloud knows is none."""
    try:
        return str(properties.text("FunctionName", ""))
    except (MissingParameter, TemplateError):
        return ""


def _foreign(properties: Properties) -> str | None:
    """What makes it a function that is no folder of Python."""
    runtime = properties.text("Runtime", "python")
    if not runtime.startswith("python"):
        return f"Runtime {runtime}"
    if properties.text("PackageType", "Zip") != "Zip":
        return "PackageType Image"
    return "InlineCode" if "InlineCode" in properties else None


def function_name(logical_id: str) -> str:
    """`CreateTaskFunction` is `create_task`."""
    stem = logical_id.removesuffix("Function") or logical_id
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem).lower()
