"""CloudFormation's YAML: the short tags, the lines things stand on, and the functions that give a value."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

PSEUDO_PARAMETERS = {
    "AWS::AccountId": "000000000000",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/local/local",
    "AWS::StackName": "local",
    "AWS::URLSuffix": "amazonaws.com",
}
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]*)\}")
_NO_VALUE = object()


class Unresolved(Exception):
    """An intrinsic function that has no value here; the text says why."""


class MissingParameter(Unresolved):
    """A parameter without default for which no value was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"parameter {name} has no value and no default: set {setting_name(name)}")


class Located(dict[str, Any]):
    """A mapping of the file that remembers the line of each key."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        super().__init__()
        self.lines = lines


def parse(text: str) -> Any:
    """The document with short tags in their long form (`!Ref X` is `{"Ref": "X"}`). Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


def normalised(name: str) -> str:
    """Parameter `Minio3dFilesBucket` and setting MINIO_3D_FILES_BUCKET are the same name."""
    return name.replace("_", "").lower()


def setting_name(parameter: str) -> str:
    """The setting that people would write for a parameter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])", "_", parameter).upper()


class Resolver:
    """Gives intrinsic functions their values."""

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        self._document = document
        self._parameters = parameters
        self._resources: Mapping[str, Any] = document.get("Resources") or {}
        self._conditions: dict[str, bool | None] = {}

    def resolve(self, value: Any) -> Any:
        """The plain value. Raises Unresolved."""
        found = self._resolve(value)
        return None if found is _NO_VALUE else found

    def condition(self, name: str) -> bool:
        if name not in self._conditions:
            declared = self._document.get("Conditions") or {}
            if name not in declared:
                raise Unresolved(f"there is no condition {name}")
            self._conditions[name] = None
            self._conditions[name] = self._truth(declared[name])
        found = self._conditions[name]
        if found is None:
            raise Unresolved(f"condition {name} depends on itself")
        return found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                try:
                    return self._call(name, argument)
                except (LookupError, TypeError, ValueError) as exc:
                    raise Unresolved(f"{name} cannot work with {argument!r}") from exc
        return self._mapping(value)

    def _mapping(self, value: dict[str, Any]) -> dict[str, Any]:
        resolved = Located(getattr(value, "lines", {}))
        for key, item in value.items():
            if (found := self._resolve(item)) is not _NO_VALUE:
                resolved[key] = found
        return resolved

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(argument)
            case "Condition":
                return self.condition(argument)
            case "Fn::GetAtt":
                return self._attribute(*(argument.split(".", 1) if isinstance(argument, str) else argument))
            case "Fn::Sub":
                return self._sub(argument)
            case "Fn::Join":
                separator, items = argument
                return str(separator).join(str(item) for item in self._resolve(items))
            case "Fn::Split":
                separator, text = argument
                return str(self._resolve(text)).split(separator)
            case "Fn::Select":
                index, items = argument
                return self._resolve(items)[int(self._resolve(index))]
            case "Fn::FindInMap":
                first, second, third = (self._resolve(item) for item in argument)
                return self._document["Mappings"][first][second][third]
            case "Fn::If":
                condition, yes, no = argument
                return self._resolve(yes if self.condition(condition) else no)
            case "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Contains" | "Fn::EachMemberEquals":
                return self._truth({name: argument})
            case _:
                raise Unresolved(f"{name} has no value here")

    def _truth(self, value: Any) -> bool:
        match value:
            case {"Fn::Equals": [left, right]}:
                return str(self._resolve(left)) == str(self._resolve(right))
            case {"Fn::And": [*items]}:
                return all(self._truth(item) for item in items)
            case {"Fn::Or": [*items]}:
                return any(self._truth(item) for item in items)
            case {"Fn::Not": [item]}:
                return not self._truth(item)
            case {"Fn::Contains": [items, item]}:
                return self._resolve(item) in self._resolve(items)
            case {"Fn::EachMemberEquals": [items, item]}:
                return set(self._resolve(items)) == {self._resolve(item)}
            case {"Condition": str(name)}:
                return self.condition(name)
        raise Unresolved(f"{value} is no condition")

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self._resources:
            return name
        if name in (self._document.get("Parameters") or {}):
            raise MissingParameter(name)
        raise Unresolved(f"!Ref {name} names no parameter and no resource")

    def _attribute(self, name: str, attribute: str) -> str:
        """What a resource would be called; nothing of the account exists here, so names stand for themselves."""
        if name not in self._resources:
            raise Unresolved(f"!GetAtt {name}.{attribute} names no resource")
        return f"arn:aws:local:us-east-1:000000000000:{name}" if attribute == "Arn" else f"{name}.{attribute}"

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return "${" + name + "}"
            if name in variables:
                return str(self._resolve(variables[name]))
            found = self._attribute(*name.split(".", 1)) if "." in name else self._ref(name)
            return ",".join(found) if isinstance(found, list) else str(found)

        return _PLACEHOLDER.sub(value, text)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that knows CloudFormation's tags, keeps lines and refuses repeated keys."""


def _mapping_of(loader: _Loader, node: yaml.MappingNode) -> Located:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
        if key.value in lines and key.tag != "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
        lines[key.value] = key.start_mark.line + 1
    loader.flatten_mapping(node)
    found = Located(lines)
    for key, item in node.value:
        found[str(loader.construct_object(key, deep=True))] = loader.construct_object(item, deep=True)
    return found


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: _mapping_of(loader, node)}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_of)
_Loader.add_multi_constructor("!", _tagged)
