"""`facet demo`: the five-minute tour."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from local.cloud import project
from local.cloud.control import Client
from local.verbs import json_option


@click.command()
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", default="avatar.glb", type=click.Path(path_type=Path), help="Where to save the avatar.")
@click.option("--timeout", default=60.0, help="Seconds to wait for it.")
@json_option
def demo(photo: Path, output: Path, timeout: float, as_json: bool) -> None:
    """Take the tour: from a photo to an avatar.

    Registers a user, uploads PHOTO, follows its progress and saves the avatar.

    \b
    facet demo tests/data/astronaut.png
    facet demo me.jpg --output me.glb
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from local.verbs import tour

    api = Client.of(project.find()).call("status").get("api")
    if api is None:
        raise click.ClickException("The functions are not up (yet). See `facet status`.")
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=1.0)
        avatar = tour.run(
            api,
            photo,
            output,
            timeout=timeout,
            progress=lambda stage, share: bar.update(task, description=stage.lower(), completed=share),
        )
    if as_json:
        click.echo(json.dumps({**asdict(avatar), "saved_to": str(avatar.saved_to)}, indent=2))
        return
    click.echo(f"saved   {avatar.saved_to} ({avatar.size:,} bytes, {avatar.seconds:.1f} s)")
    click.echo(f"skin    {avatar.skin_color}")
    click.echo(f"avatar  {avatar.url}")
    click.echo(f"photo   {avatar.photo_url}")
