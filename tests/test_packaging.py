"""What is installed when Grand Central is installed, from a wheel and from a checkout.

Worth tests, since each fault here is silent: a plugin that is not found makes ``twistd grandcentral`` an unknown command, and
an ``__init__.py`` beside it replaces Twisted's own and, on removal, takes Twisted along.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from grandcentral import __version__

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg", "grandcentral", "twisted")
PLUGIN = "twisted/plugins/grandcentral_plugin.py"

BUILD = "import sys; from setuptools.build_meta import *; to = sys.argv[1]; build_wheel(to); build_sdist(to)"


def run(*command: str | Path, cwd: Path | str = "/") -> str:
    """What the command says. Fails with it if the command does; nothing of our own environment leaks into it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GRANDCENTRAL_"))}
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, copied: building leaves things behind, which must not get into what is built next."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel and a source distribution."""
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-c", BUILD, directory, cwd=checkout)
    return directory


def in_wheel(built: Path) -> set[str]:
    [wheel] = built.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def in_checkout(checkout: Path) -> set[str]:
    files = [path for part in ("grandcentral", "twisted") for path in (checkout / part).rglob("*") if path.is_file()]
    return {path.relative_to(checkout).as_posix() for path in files}


def test_the_wheel_has_the_plugin_and_nothing_else_of_twisted(built: Path) -> None:
    assert {name for name in in_wheel(built) if name.startswith("twisted")} == {PLUGIN}


def test_the_wheel_has_every_file_of_the_package_and_no_other(built: Path, checkout: Path) -> None:
    """Schemas and pages among them; tests and examples not."""
    of_the_package = {name for name in in_wheel(built) if ".dist-info/" not in name}
    assert of_the_package == in_checkout(checkout)
    assert any(name.endswith(".sql") for name in of_the_package)


def test_the_wheel_has_its_license(built: Path) -> None:
    assert any(name.endswith("/LICENSE") for name in in_wheel(built))


def test_the_source_distribution_has_everything_to_build_from(built: Path, checkout: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= in_checkout(checkout) | {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"}


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, built: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment of its own with Grand Central in it. Everything else it borrows from this one, except for what this
    one has in the way of .pth files: an editable Grand Central stays out."""
    home = tmp_path_factory.mktemp(request.param)
    run(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / "bin" / "python"
    [site] = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet", "install", "--no-deps")
    if request.param == "wheel":
        run(*pip, "--no-index", *built.glob("*.whl"))
    else:
        run(*pip, "--no-index", "--no-build-isolation", "--editable", checkout)
    return home


def test_twistd_knows_it(installed: Path) -> None:
    """From /, so that no current directory helps."""
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    said = run(installed / "bin" / "python", twistd, "grandcentral", "--help")
    assert "twistd [options] grandcentral [--config FILE]" in said


def test_the_command_is_there(installed: Path) -> None:
    assert run(installed / "bin" / "grandcentral", "--version") == f"grandcentral {__version__}\n"


def test_it_is_not_this_checkout_that_was_tried(installed: Path) -> None:
    where = run(installed / "bin" / "python", "-c", "import grandcentral; print(grandcentral.__file__)")
    assert not Path(where.strip()).is_relative_to(ROOT)


def test_it_can_be_checked_with(installed: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "grandcentral.toml"
    configuration.write_text('[gateway]\nstate = "state"\n[apps.docs]\nhost = "docs.localhost"\nupstream = "127.0.0.1:9001"\n')
    assert "[apps.docs]" in run(installed / "bin" / "grandcentral", "check", "--config", configuration)
