"""What the clouds install: by plain pip, which wants every dependency of a locked file locked."""

import re
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement

from tests.conftest import PROJECT

CLOUD = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "extra": ""}
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def pins(path: str) -> dict[str, str]:
    return dict(PIN.findall((PROJECT / path).read_text(encoding="utf-8")))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("cloud", ["gcp", "azure"])
def test_every_dependency_of_a_locked_package_is_locked(cloud: str) -> None:
    locked = pins(f"infra/{cloud}/requirements.lock")
    missing = set()
    for name in locked:
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue  # not everything of a cloud is installed here
        wanted = [canonical(each.name) for each in needed if not each.marker or each.marker.evaluate(CLOUD)]
        missing |= {f"{name} needs {other}" for other in wanted if other not in locked}
    assert not missing


@pytest.mark.parametrize("cloud", ["gcp", "azure"])
def test_the_clouds_run_the_versions_that_are_tested(cloud: str) -> None:
    locked, tested = pins(f"infra/{cloud}/requirements.lock"), pins("requirements.lock")
    assert {name: version for name, version in locked.items() if tested.get(name, version) != version} == {}


@pytest.mark.parametrize("cloud", ["gcp", "azure"])
def test_a_cloud_has_what_every_layer_has(cloud: str) -> None:
    names = ("layers/dependencies", "layers/passwords", "layers/images", "layers/swagger_ui", "infra/migrations")
    needed = {name for folder in names for name in pins(f"{folder}/requirements.lock")}
    assert needed <= set(pins(f"infra/{cloud}/requirements.lock"))
