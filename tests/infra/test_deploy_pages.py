"""The pages for operators name files that are rendered, and rights that are those of the agents."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from local.services.rabbitmq import agent_rights
from tests.infra.conftest import Files
from tests.infra.manifests import ROOT

TARGETS = ("kubernetes", "knative", "openfaas")
PAGES = [
    page.relative_to(ROOT) for glob in ("README.md", "*/README.md") for page in sorted((ROOT / "infra").glob(glob))
]


def page(target: str) -> str:
    return (ROOT / "infra" / target / "README.md").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_every_file_and_folder_a_page_names_is_rendered(target: str, rendered: Callable[[str], Files]) -> None:
    files = rendered(target)
    folders = {path.partition("/")[0] for path in files if "/" in path}
    named = set(re.findall(r"deployed/([\w./-]*\w)", page(target)))
    named |= {name.removeprefix("deployed/") for name in re.findall(r"`([\w/-]+\.ya?ml)`", page(target)) if "/" in name}
    assert folders >= {"settings", "migrate", "app", "keda"}
    assert {name for name in named if name not in folders} <= files.keys()
    assert all(f"`{folder}/`" in page(target) for folder in folders)


@pytest.mark.parametrize("written", PAGES, ids=str)
def test_links_lead_to_pages_and_their_sections(written: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([\w-]+))?\)", (ROOT / written).read_text())
    for path, section in links:
        found = (ROOT / written.parent / path).resolve() if path else ROOT / written
        assert found.exists(), path
        assert not section or section in headings(found)


def headings(page: Path) -> list[str]:
    """The sections of a page, as links name them."""
    lines = (line for line in page.read_text().splitlines() if line[:1] == "#")
    return [re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines]


@pytest.mark.parametrize("written", PAGES, ids=str)
def test_the_command_line_is_called_where_it_is_installed(written: Path) -> None:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", (ROOT / written).read_text(), re.MULTILINE | re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines()]
    assert [line for line in commands if re.match(r"(facet|chalice|sam) ", line)] == []


def test_the_rights_of_agents_on_the_page_are_those_they_are_given() -> None:
    queues = {"RABBITMQ_TASKS_QUEUE": "generation_tasks", "RABBITMQ_TASKS_RESULTS_QUEUE": "generation_task_results"}
    rights = agent_rights(queues)
    written = re.findall(r"^ +'(\S+)'", page("kubernetes"), re.MULTILINE)
    assert written == [rights["configure"], rights["write"], rights["read"]]
