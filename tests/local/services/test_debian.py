"""Fetching and unpacking Debian packages, with an apt-get and a dpkg of the test's own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from local.services import debian

pytestmark = pytest.mark.anyio
DPKG = 'echo "dpkg $*" >> "$CALLS"; mkdir -p "$3/bin"; cp "$2" "$3/bin/"'
DOWNLOAD = 'for last; do :; done; echo "apt-get $*" >> "$CALLS"; case "$*" in *download*) echo deb > "$last.deb";; esac'
NEEDS_LISTS = f'case "$*" in *Lists=*) ;; *) echo "E: Unable to locate package"; exit 100;; esac; {DOWNLOAD}'
FAILS = """
case "$*" in
    *update*) echo "W: Failed to fetch http://mirror";;
    *) echo "Reading package lists"; echo "E: No such package"; exit 100;;
esac
"""

Tools = Callable[..., Path]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Puts shell scripts of these names on PATH; they note their calls in the file that is returned."""

    def install(**scripts: str) -> Path:
        folder = tmp_path / "tools"
        folder.mkdir()
        for name, text in scripts.items():
            file = folder / name.replace("_", "-")
            file.write_text(f"#!/bin/sh\n{text}\n")
            file.chmod(0o755)
        for tool in ("mkdir", "cp", "sleep"):
            (folder / tool).symlink_to(f"/bin/{tool}")
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
        return tmp_path / "calls"

    return install


async def unpack(target: Path, report: Callable[[str], None] = print) -> Path:
    return await debian.unpack(["one", "two"], target, report, adapt=lambda draft: (draft / "adapted").touch())


async def test_packages_are_downloaded_unpacked_and_adapted(tmp_path: Path, tools: Tools) -> None:
    calls = tools(apt_get=DOWNLOAD, dpkg=DPKG)
    reports: list[str] = []
    root = await unpack(tmp_path / "servers" / "it", reports.append)
    assert root == tmp_path / "servers" / "it"
    assert (root / "bin" / "two.deb").exists()
    assert (root / "adapted").exists()
    assert reports == ["downloading 2 Debian packages, once", "unpacking"]
    assert "update" not in calls.read_text()
    assert sorted(each.name for each in (tmp_path / "servers").iterdir()) == ["it", "it.lock"]


async def test_what_is_there_is_not_fetched_again(tmp_path: Path, tools: Tools) -> None:
    calls = tools(apt_get=DOWNLOAD, dpkg=DPKG)
    await unpack(tmp_path / "it")
    before = calls.read_text()
    await unpack(tmp_path / "it")
    assert calls.read_text() == before


async def test_what_was_unpacked_in_another_place_is_fetched_anew(tmp_path: Path, tools: Tools) -> None:
    calls = tools(apt_get=DOWNLOAD, dpkg=DPKG)
    await unpack(tmp_path / "it")
    (tmp_path / "it").rename(tmp_path / "moved")
    await unpack(tmp_path / "moved")
    assert calls.read_text().count("apt-get") == 2


async def test_two_at_once_fetch_it_once(tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "LOCK_POLL", 0.01)
    calls = tools(apt_get=f"sleep 0.2; {DOWNLOAD}", dpkg=DPKG)
    reports: list[str] = []
    await asyncio.gather(unpack(tmp_path / "it", reports.append), unpack(tmp_path / "it", reports.append))
    assert calls.read_text().count("apt-get") == 1
    assert "another process is fetching the packages, waiting for it" in reports


async def test_a_system_without_package_lists_gets_private_ones(tmp_path: Path, tools: Tools) -> None:
    calls = tools(apt_get=NEEDS_LISTS, dpkg=DPKG)
    root = await unpack(tmp_path / "it")
    assert (root / "bin" / "two.deb").exists()
    update, download = [line for line in calls.read_text().splitlines() if line.startswith("apt-get")]
    private = f"-o Dir::State::Lists={tmp_path}/it.new/lists -o Dir::Cache={tmp_path}/it.new/cache"
    assert update.endswith(f"{private} update")
    assert download.endswith(f"{private} download one two")


async def test_a_failed_download_names_what_apt_complained_about_and_leaves_no_half(
    tmp_path: Path, tools: Tools
) -> None:
    tools(apt_get=FAILS, dpkg=DPKG)
    with pytest.raises(debian.Unavailable) as failure:
        await unpack(tmp_path / "it")
    assert str(failure.value) == (
        "apt-get cannot download the packages: E: No such package W: Failed to fetch http://mirror"
    )
    assert not (tmp_path / "it").exists()


async def test_a_package_that_cannot_be_unpacked_is_a_failure(tmp_path: Path, tools: Tools) -> None:
    tools(apt_get=DOWNLOAD, dpkg="echo 'no space left'; exit 2")
    with pytest.raises(debian.Unavailable, match="no space left"):
        await unpack(tmp_path / "it")
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("missing", ["apt-get", "dpkg"])
async def test_elsewhere_it_says_that_this_is_not_debian(tmp_path: Path, tools: Tools, missing: str) -> None:
    there = {"apt_get": DOWNLOAD, "dpkg": DPKG}
    tools(**{name: script for name, script in there.items() if name != missing.replace("-", "_")})
    with pytest.raises(debian.Unavailable, match=f"there is no {missing} here, so this is not Debian or Ubuntu"):
        await unpack(tmp_path / "it")
