"""A project: a folder with a template.yaml."""

from dataclasses import dataclass
from pathlib import Path

from local.cloud import environment
from local.template import Template, TemplateError, load

AVATARS = frozenset({"RABBITMQ_TASKS_QUEUE", "RABBITMQ_TASKS_RESULTS_QUEUE", "REFRESH_SECRET_KEY"})
SERVICES = {"postgres": "POSTGRES_HOST", "rabbitmq": "RABBITMQ_HOST", "objects": "MINIO_HOST"}


class ProjectNotFound(Exception):
    """Neither this folder nor one above it has a template."""


@dataclass(frozen=True)
class Project:
    """Where the functions are and the template that lists them."""

    root: Path
    template: Path

    def read(self) -> Template:
        """The template with the settings that hold. Raises TemplateError and EnvironmentUnreadable."""
        return load(self.template, environment.effective(self.root))

    def name_of(self, given: str) -> str:
        """The name of the function that the template calls so; what names none stays as it is."""
        try:
            spec = self.read().named(given)
        except (TemplateError, environment.EnvironmentUnreadable):  # logs and records are there all the same
            return given
        return spec.name if spec else given


def find(template: Path | None = None, start: Path | None = None) -> Project:
    """The project of `template`, or the nearest one at or above `start` (default: here).

    Raises ProjectNotFound.
    """
    if template is not None:
        if not template.is_file():
            raise ProjectNotFound(f"There is no template at {template}.")
        return Project(template.resolve().parent, template.resolve())
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "template.yaml").is_file():
            return Project(folder, folder / "template.yaml")
    raise ProjectNotFound(
        f"There is no template.yaml in {here} or above it. Go to the project, or pass --template FILE."
    )


def makes_avatars(template: Template) -> bool:
    """Whether it is Facet's own: it gets the reference agent, and a new `.env` where there is none."""
    return template.settings >= AVATARS


def services(template: Template) -> frozenset[str]:
    """What it needs: a service whose host is a parameter, and a broker for queue triggers."""
    named = {service for service, setting in SERVICES.items() if setting in template.settings}
    return frozenset(named | ({"rabbitmq"} if template.queues else set()))
