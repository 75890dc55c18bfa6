"""The containers' steps, as far as they can be taken without an engine."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name):
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_extras_are_there():
    (extras,) = re.findall(r"ARG EXTRAS=(\S+)", DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_what_is_copied_is_there_and_not_ignored():
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = [source for line in instructions("COPY") for source in line.split()[:-1]]
    assert "dtopics" in copied
    for source in copied:
        assert (ROOT / source).exists()
        assert source in kept


def test_the_python_is_supported():
    (version,) = re.findall(r"FROM python:([\d.]+)-slim", DOCKERFILE)
    supported = [line.rpartition(" :: ")[2] for line in PROJECT["project"]["classifiers"]]
    assert version in supported


def test_the_dev_container_calls_what_is_there():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = re.findall(r"make ([a-z-]+)", settings["postCreateCommand"])
    assert asked
    assert set(asked) <= targets


@pytest.mark.slow
def test_what_is_copied_is_enough(tmp_path):
    """The image's second install, from a copy of what it copies, into a folder of its own."""
    import shutil

    for line in instructions("COPY"):
        *sources, target = line.split()
        folder = tmp_path / target.removeprefix("/").removesuffix("/")
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, folder)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(tmp_path / "src")], check=True)
    done = subprocess.run(
        [sys.executable, "-c", "import dtopics; print(dtopics.__file__)"], check=True, text=True,
        capture_output=True, cwd=tmp_path, env={"PYTHONPATH": str(site), "PATH": ""},
    )  # fmt: skip
    assert str(site) in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_everything_installs_from_wheels(tmp_path):
    """No compiler is needed: every package that dtopics stands on has a wheel."""
    report = tmp_path / "report.json"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed",
         "--only-binary=:all:", "-c", str(ROOT / "constraints.txt"), "--report", str(report),
         "--no-binary", "dtopics", f"{ROOT}[minilm,s3,zstd]"],
        check=True,
    )  # fmt: skip
    found = {item["metadata"]["name"].lower(): item["download_info"]["url"]
             for item in json.loads(report.read_text())["install"]}  # fmt: skip
    wheels = {name: url for name, url in found.items() if url.endswith(".whl")}
    assert set(found) - set(wheels) == {"dtopics"}
    assert {"numpy", "dask", "umap-learn", "hdbscan", "sentence-transformers"} <= set(wheels)
