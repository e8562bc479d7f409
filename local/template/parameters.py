"""The values of a template's parameters: settings by normalised name, else defaults, checked as CloudFormation does."""

import re
from collections.abc import Mapping
from typing import Any

from local.template.intrinsics import normalised, setting_name
from local.template.properties import Properties


def parameter_values(declared: Properties, settings: Mapping[str, str]) -> dict[str, Any]:
    """Parameter `Minio3dFilesBucket` takes MINIO_3D_FILES_BUCKET. One with neither value nor default is left out.

    An empty secret is none: where it is optional, the cloud has another source for it, such as a dynamic reference.
    Raises TemplateError for a value the template does not allow; a secret's value is never shown.
    """
    given = {normalised(name): value for name, value in settings.items()}
    values: dict[str, Any] = {}
    for name, parameter in declared.parts().items():
        text = given.get(normalised(name), parameter.text("Default", None))
        if text is None or (not text and parameter.flag("NoEcho")):
            continue
        if complaint := _complaint(parameter, text):
            complaint = parameter.text("ConstraintDescription", complaint)
            shown = "the value" if parameter.flag("NoEcho") else repr(text)
            raise parameter.error(f"{shown} of setting {setting_name(name)} {complaint}")
        kind = parameter.text("Type", "String")
        is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
        values[name] = [item.strip() for item in text.split(",") if item.strip()] if is_list else text
    return values


def _complaint(parameter: Properties, text: str) -> str | None:
    allowed = parameter.texts("AllowedValues")
    if allowed and text not in allowed:
        return f"is none of {', '.join(allowed)}"
    pattern = parameter.text("AllowedPattern", None)
    if pattern is not None and not re.fullmatch(pattern, text):
        return f"does not match {pattern}"
    if len(text) < parameter.whole("MinLength", 0):
        return f"is shorter than {parameter.whole('MinLength')} characters"
    if len(text) > parameter.whole("MaxLength", len(text)):
        return f"is longer than {parameter.whole('MaxLength')} characters"
    return _number_complaint(parameter, text) if parameter.text("Type", "String") == "Number" else None


def _number_complaint(parameter: Properties, text: str) -> str | None:
    try:
        number = float(text)
    except ValueError:
        return "is no number"
    if number < float(parameter.text("MinValue", "-inf")):
        return f"is below {parameter.text('MinValue')}"
    if number > float(parameter.text("MaxValue", "inf")):
        return f"is above {parameter.text('MaxValue')}"
    return None
