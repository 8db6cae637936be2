"""What is installed from the wheel works without the checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

uv = pytest.importorskip("uv")
REPO = Path(__file__).parents[1]


def call(*command: str, cwd: Path) -> str:
    """Runs a command outside of the checkout, with nothing of it in the environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TLTOOL"))}
    env = {**kept, "UV_OFFLINE": "1", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the sdist, and the wheel from it, as `make wheel` does."""
    out = tmp_path_factory.mktemp("dist")
    build = [uv.find_uv_bin(), "build", "--python", sys.executable, "--no-build-isolation"]
    call(*build, "--out-dir", str(out), str(REPO), cwd=out)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("tltool-*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with everything but tltool of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    call(uv.find_uv_bin(), "venv", "--python", sys.executable, str(folder), cwd=wheel.parent)
    python = folder / "bin" / "python"
    install = [uv.find_uv_bin(), "pip", "install", "--python", str(python), "--no-deps"]
    call(*install, str(wheel), cwd=wheel.parent)
    [site] = folder.glob("lib/python3*/site-packages")
    # Not a site folder: the .pth files in it, one of which names the checkout, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_holds_code_options_and_templates_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, suffixes in (("tltool", (".py", ".jinja")), ("conf", (".yaml",))):
        files = [path for path in (REPO / folder).rglob("*") if path.suffix in suffixes]
        assert len(files) > 10
        for path in files:
            place = Path("tltool") / path.relative_to(REPO / folder)
            inside = (
                place if folder == "tltool" else Path("tltool/conf") / place.relative_to("tltool")
            )
            assert inside.as_posix() in names
    assert "tltool/report/page.html.jinja" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"tltool"}
    assert not [name for name in names if "test" in name or "__pycache__" in name]


def test_the_sdist_can_be_tested_and_locked(dist: Path) -> None:
    [path] = dist.glob("tltool-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/config.yaml", "tests/test_wheel.py", "Makefile", "requirements.lock"} <= names
    assert not [name for name in names if name.startswith((".venv", ".git/", "runs/", "dist/"))]


def test_the_command_works_in_another_folder(python: Path, tmp_path: Path) -> None:
    where = call(str(python), "-c", "import tltool; print(tltool.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    listed = call(str(python), "-m", "tltool", "list", cwd=tmp_path)
    for path in (REPO / "conf" / "strategy").glob("*.yaml"):
        assert path.stem in listed
    shown = call(str(python.with_name("tltool")), "show", "strategy=dann", "seed=3", cwd=tmp_path)
    config = yaml.safe_load(shown)
    assert config["choices"]["strategy"] == "dann"
    assert config["strategy"]["_target_"] == "tltool.strategies.adaptation.dann.DANN"
    assert config["seed"] == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_from_the_wheel_leaves_a_report(python: Path, tmp_path: Path) -> None:
    given = ["experiment=smoke", "dataset=digits", "hardware=cpu", "report=true", "run_dir=run"]
    call(str(python), "-m", "tltool", "train", *given, "dataset.cache=false", cwd=tmp_path)
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()
