"""`facet deploy`: what other runtimes need to run the same functions."""

from pathlib import Path

import click

from local import deploy as targets
from local.cloud import project
from local.verbs import Text, template_option

_NEXT = "next: {folder}/README.md if it is there, else infra/{target}/README.md of Facet, tells how to apply them"


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
@template_option
def render(target: str, output: Path | None, image: str, force: bool, template: Path | None) -> None:
    """Render the files of TARGET from template.yaml.

    They hold the template's defaults and no secret: values of .env are not read. Without --output they are printed,
    one after the other.

    \b
    facet deploy render kubernetes | less
    facet deploy render knative --image registry.example.com/facet:1.0 --output deployed/
    """
    files = targets.render(target, targets.read(project.find(template).template, image))
    if output is None:
        click.echo("".join(f"---\n# {path}\n{text}" for path, text in files.items()), nl=False)
        return
    existing = {path: (output / path).read_text(encoding="utf-8") for path in files if (output / path).exists()}
    differing = [path for path, text in existing.items() if text != files[path]]
    if differing and not force:
        there = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")
        raise click.ClickException(
            f"{output} has other files of these names: {there}. Nothing was written.\n"
            "next: --force replaces them, another --output leaves them alone"
        )
    for path, text in files.items():
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        (output / path).write_text(text, encoding="utf-8")
        click.echo(f"{'unchanged' if existing.get(path) == text else 'written':<10} {output / path}")
    click.echo(_NEXT.format(folder=output, target=target))
