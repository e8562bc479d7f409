"""`facet deploy`: what other runtimes need to run the same functions."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from local import deploy as targets
from local.cloud import project
from local.verbs import Text, json_option, template_option

_NEXT = "next: fill in the settings that are empty; Facet's infra/{target}/README.md has the commands that apply them"


@click.group()
def deploy() -> None:
    """Write what a cloud or a cluster needs to run the functions.

    \b
    facet deploy render kubernetes --image registry.example.com/facet:1.0 --output deployed/
    """


@deploy.command()
@click.argument("target", type=click.Choice(targets.TARGETS))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Write files into this folder.")
@click.option(
    "--image",
    type=Text(),
    default=targets.IMAGE,
    show_default=True,
    help="The image of target `runtime`, with its tag.",
)
@click.option("--force", is_flag=True, help="Replace files that are there and differ.")
@json_option
@template_option
def render(target: str, output: Path | None, image: str, force: bool, as_json: bool, template: Path | None) -> None:
    """Render the files of TARGET from template.yaml.

    They hold the template's defaults and no secret: values of .env are not read. Without --output they are printed,
    one after the other; --json is an object of paths and texts.

    \b
    facet deploy render kubernetes | less
    facet deploy render knative --image registry.example.com/facet:1.0 --output deployed/
    """
    files = targets.render(target, targets.read(project.find(template).template, image))
    states = _write(output, files, force) if output else {}
    if as_json:
        click.echo(json.dumps(states or files, indent=2))
    elif output:
        click.echo("\n".join(f"{state:<10} {output / path}" for path, state in states.items()))
        click.echo(_NEXT.format(target=target))
    else:
        click.echo("".join(f"---\n# {path}\n{text}" for path, text in files.items()), nl=False)


def _write(output: Path, files: Mapping[str, str], force: bool) -> dict[str, str]:
    """What became of each. Nothing is written where one of them is there and differs, unless forced."""
    existing = {path: (output / path).read_text(encoding="utf-8") for path in files if (output / path).exists()}
    differing = [path for path, text in existing.items() if text != files[path]]
    if differing and not force:
        there = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")
        raise click.ClickException(
            f"{output} has other files of these names: {there}. Nothing was written.\n"
            "next: --force replaces them, another --output leaves them alone"
        )
    for path, text in files.items():
        if existing.get(path) != text:
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            (output / path).write_text(text, encoding="utf-8")
    return {path: "unchanged" if existing.get(path) == text else "written" for path, text in files.items()}


@deploy.command()
@click.option("--stack", required=True, help="The stack that `sam deploy` made.")
@click.option("--region", help="Where it is; by default AWS_REGION, or the profile's.")
@template_option
def urls(stack: str, region: str | None, template: Path | None) -> None:
    """Print what a frontend needs to know of a stack on AWS, as `facet functions --json` tells it of the local one.

    It asks AWS with the credentials that its own command line uses.

    \b
    facet deploy urls --stack facet-staging --region eu-central-1 > functions.json
    facet deploy urls --stack facet-staging | jq -r '.[] | select(.url) | "\\(.name) \\(.url)"'
    """
    from local.deploy import stack_outputs

    rows = stack_outputs.read(project.find(template).template, stack, region)
    click.echo(json.dumps(rows, indent=2))
