"""Run by the Python that has SAM: the template of argument 1 as CloudFormation gets it from SAM's transform.

Standard input is a JSON object of parameters, which become the defaults; standard output is the template as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform  # type: ignore[import-not-found]  # only where SAM is
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-not-found]  # as above

UPLOADED = "s3://bucket/key"  # what `sam deploy` writes for a folder or an image


class ManagedPolicies:
    """None is named in the template, so none is looked up in an account."""

    def load(self) -> dict[str, str]:
        return {}


def main() -> None:
    template: dict[str, Any] = yaml_parse(Path(sys.argv[1]).read_text())
    for name, value in json.load(sys.stdin).items():
        template["Parameters"][name]["Default"] = value
    for resource in template["Resources"].values():
        for key in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
            resource["Properties"][key] = UPLOADED
    parameters = {name: each.get("Default", "") for name, each in template["Parameters"].items()}
    json.dump(transform(template, parameters, ManagedPolicies()), sys.stdout)


main()
