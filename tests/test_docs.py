"""The documentation is true: docstrings, tables, commands and the quick start."""

import ast
import doctest
import importlib
import inspect
import logging
import pkgutil
import re
import shlex
import tomllib
import types
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import yaml

import dtopics
from dtopics import TopicModel, cli, errors, protocols, steering, testing
from dtopics.cli import options
from dtopics.pipeline import fit as pipeline_fit
from dtopics.reduction import refining
from dtopics.report import assignments
from dtopics.representation import vocabulary_steps

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "CONTRIBUTING.md"])

PUBLIC = {f"dtopics.{name}": getattr(dtopics, name) for name in dtopics.__all__} | {
    f"dtopics.testing.{name}": getattr(testing, name) for name in testing.__all__
}
METHODS = {
    f"{name}.{member}": getattr(thing, member)
    for name, thing in PUBLIC.items()
    if inspect.isclass(thing)
    for base in inspect.getmro(thing)
    if base.__module__.startswith("dtopics.")
    for member, value in vars(base).items()
    if inspect.isfunction(value) or isinstance(value, classmethod)
    if not member.startswith("_") and not re.fullmatch(r"set_\w+_request", member)
}
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(dtopics.__path__, "dtopics.")
    if not found.name.endswith("__main__")
)


def sections(thing):
    """Return the sections of a numpydoc docstring by their titles, the summary as ``""``."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}$", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(section):
    """Return the names that a section lists."""
    lines = [line for line in section.splitlines() if line and not line.startswith(" ")]
    names = [name for line in lines for name in line.partition(" : ")[0].split(",")]
    return {name.strip().lstrip("*") for name in names}


def parameters(function):
    return set(inspect.signature(function).parameters) - {"self", "cls"}


def blocks(page, language):
    """Return a page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def rows(page, heading):
    """Return the cells of the table whose first column has this heading."""
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            break
    found = []
    for line in lines:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


class TestDocstrings:
    @pytest.mark.parametrize("name", PUBLIC)
    def test_a_public_name_has_a_summary_of_one_line(self, name):
        summary = sections(PUBLIC[name])[""].strip().split("\n\n")[0]
        assert summary.endswith(".")
        assert "\n" not in summary

    @pytest.mark.parametrize("name", PUBLIC)
    def test_a_public_name_documents_every_parameter(self, name):
        thing = PUBLIC[name]
        said = sections(thing)
        section = "Attributes" if issubclass_of(thing, tuple) else "Parameters"
        assert documented(said.get(section, "")) == parameters(thing)

    @pytest.mark.parametrize("name", ["TopicModel", "Corpus", "UMAP", "HDBSCAN"])
    def test_what_users_hold_has_an_example(self, name):
        assert ">>>" in sections(getattr(dtopics, name))["Examples"]

    @pytest.mark.parametrize("name", ["UMAP", "HDBSCAN", "TopicModel"])
    def test_a_method_from_the_literature_has_a_reference(self, name):
        assert sections(getattr(dtopics, name))["References"].strip()

    @pytest.mark.parametrize("name", METHODS)
    def test_a_method_has_a_docstring_that_names_its_parameters(self, name):
        said = sections(METHODS[name])
        assert said[""].strip()
        if "Parameters" in said:
            assert documented(said["Parameters"]) == parameters(METHODS[name])
        else:
            taken = parameters(METHODS[name])
            assert len(taken) < 3 or "as in" in said[""]

    def test_fitted_attributes_are_there_and_documented(self):
        there = {
            name
            for base in inspect.getmro(TopicModel)
            if base.__module__.startswith("dtopics.")
            for name, value in vars(base).items()
            if isinstance(value, property) and name.endswith("_") and not name.startswith("_")
        }
        assert documented(sections(TopicModel)["Attributes"]) == there

    @pytest.mark.parametrize("module", [errors, protocols], ids=lambda module: module.__name__)
    def test_every_class_has_a_docstring(self, module):
        found = [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        assert found
        assert all(value.__doc__ for value in found)

    def test_the_tree_of_errors_is_whole(self):
        there = {
            name
            for name, value in vars(errors).items()
            if inspect.isclass(value) and issubclass(value, errors.DTopicsError)
        }
        drawn = set(re.findall(r"[A-Za-z]+Error(?= |$)", errors.__doc__, re.MULTILINE))
        assert there <= drawn

    @pytest.mark.parametrize("module", MODULES)
    def test_examples_in_docstrings_run(self, module, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = doctest.testmod(importlib.import_module(module))
        assert result.failed == 0

    def test_there_are_examples_in_docstrings(self):
        finder = doctest.DocTestFinder()
        with_examples = [
            module
            for module in MODULES
            if any(test.examples for test in finder.find(importlib.import_module(module)))
        ]
        assert {"dtopics.model", "dtopics.store.location", "dtopics.execution.cache"} <= set(
            with_examples
        )


def issubclass_of(thing, kind):
    return inspect.isclass(thing) and issubclass(thing, kind)


class TestSettings:
    table = rows(DOCS / "settings.md", "Parameter")
    flags = types.MappingProxyType(
        {flag: option.name for option in cli.fit_command.params for flag in option.opts}
    )

    def test_it_has_every_parameter_in_order_with_its_default(self):
        signature = inspect.signature(TopicModel).parameters.values()
        said = [
            (code(name)[0], ast.literal_eval(code(default)[0])) for name, default, *_ in self.table
        ]
        assert said == [(parameter.name, parameter.default) for parameter in signature]

    def test_its_flags_exist_and_set_that_parameter(self):
        for name, _, flags, _ in self.table:
            for flag in code(flags):
                option = self.flags[flag].removesuffix("_url")
                assert options.STRATEGY_FLAGS.get(option, (option, ""))[0] == code(name)[0]

    def test_every_flag_stands_on_the_page(self):
        said = re.findall(r"--[a-z0-9-]+", (DOCS / "settings.md").read_text())
        assert {flag for flag in self.flags if flag.startswith("--")} <= set(said)

    def test_yaml_names_are_those_that_are_read(self, tmp_path):
        names = {name for *_, cell in self.table for name in code(cell)}
        assert names == set(TopicModel._get_param_names()) - {"run", "storage_options"}
        file = tmp_path / "settings.yaml"
        file.write_text("run: somewhere\n")
        with pytest.raises(errors.SettingError, match="run"):
            cli.settings({"config": str(file)})

    def test_the_yaml_and_the_python_on_the_page_mean_the_same(self, tmp_path):
        (text,) = blocks(DOCS / "settings.md", "yaml")
        file = tmp_path / "settings.yaml"
        file.write_text(text)
        read = cli.settings({"config": str(file)})
        assert set(read) == set(yaml.safe_load(text))
        (source,) = blocks(DOCS / "settings.md", "python")
        namespace = {}
        exec(source.replace("TopicModel(\n", "model = TopicModel(\n"), namespace)
        model = namespace["model"]
        for name, value in read.items():
            ours = getattr(model, name)
            if hasattr(value, "get_params"):
                assert type(ours) is type(value)
                assert ours.get_params() == value.get_params()
            else:
                assert ours == value


class TestPages:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_python_parses(self, page):
        for block in blocks(page, "python"):
            ast.parse(block)

    @pytest.mark.parametrize(
        "line",
        sorted(
            {
                line.removeprefix("$ ")
                for page in PAGES
                for block in blocks(page, "console")
                for line in block.splitlines()
                if line.startswith("$ dtopics")
            }
        ),
    )
    def test_commands_are_understood(self, line, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("settings.yaml").write_text("min_topic_size: 20\n")
        _, name, *arguments = shlex.split(line)
        command = cli.cli.commands[name]
        assert isinstance(command.make_context(name, arguments), click.Context)

    def test_make_targets_exist(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = {
            target
            for page in PAGES
            for words in re.findall(r"(?:`|\$ )make ([a-z -]+)", page.read_text())
            for target in words.split()
        }
        assert named
        assert named <= targets

    def test_results_that_are_listed_are_there(self):
        calls = {name for call, _ in rows(DOCS / "results.md", "Call") for name in code(call)}
        names = {name.partition("(")[0] for name in calls} - {"messages_"}
        assert len(names) > 5
        assert [name for name in sorted(names) if not hasattr(TopicModel, name)] == []

    def test_layers_are_those_that_are_checked(self):
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
        contract = settings["tool"]["importlinter"]["contracts"][0]
        said = [" | ".join(code(cell)) for cell, _ in rows(DOCS / "architecture.md", "Layer")]
        assert said == contract["layers"]

    def test_stages_are_those_of_the_pipeline(self):
        source = inspect.getsource(inspect.getmodule(pipeline_fit))
        for module in (vocabulary_steps, steering, assignments):
            source += inspect.getsource(module)
        there = set(re.findall(r'run\.stage\(\s*"([^"]+)"', source))
        said = {code(row[0])[0] for row in rows(DOCS / "architecture.md", "Stage")}
        assert said - {"refined"} == there  # it is the last of a table of its own
        assert 'run.stage("refined"' in inspect.getsource(refining)

    def test_public_names_stand_in_the_reference(self):
        text = (DOCS / "api.rst").read_text()
        assert [
            name
            for name in dtopics.__all__
            if not re.search(rf"auto(class|function):: {name}\n", text)
        ] == []


@pytest.fixture
def small(tmp_path, monkeypatch):
    """600 documents in memory and in files, and a default embedder that costs nothing."""
    from dtopics.embedding import encode, sentence_transformers

    monkeypatch.setattr(
        sentence_transformers,
        "SentenceTransformerEmbedder",
        lambda _name: encode.ObjectEmbedder(testing.HashingEmbedder()),
    )
    monkeypatch.chdir(tmp_path)
    texts = testing.made_up(600, 4, random_state=1).texts
    ids = [f"review {i}" for i in range(len(texts))]
    pd.DataFrame({"body": texts, "review_id": ids}).to_parquet("reviews.parquet")
    return texts


def test_the_quick_start_runs(small, caplog):
    namespace = {"documents": small}
    caplog.set_level(logging.INFO, logger="dtopics")
    for block in blocks(DOCS / "quickstart.md", "python"):
        exec(compile(block, "quickstart.md", "exec"), namespace)
    assert len(namespace["topics"]) == len(small)
    assert set(namespace["topics"]) >= {0, 1}
    assert namespace["info"]["Count"].sum() == len(small)
    assert namespace["examples"]
    assert len(namespace["words"]) == 10
    assert len(namespace["new_topics"]) == 3
    assert list(namespace["assignments"].columns) == ["doc_id", "topic", "probability"]
    assert len(namespace["assignments"]) == len(small)
    sizes = namespace["model"].topic_sizes_
    assert sum(sizes.values()) == len(small)
    assert np.min([size for topic, size in sizes.items() if topic >= 0]) >= 30


@pytest.mark.filterwarnings("ignore")
def test_everything_of_bertopic_is_in_the_table():
    from bertopic import BERTopic

    page = DOCS / "coming-from-bertopic.md"
    tables = {kind: {row[0].strip("`"): row[1] for row in rows(page, kind)}
              for kind in ("Parameter", "Method")}  # fmt: skip
    assert set(tables["Parameter"]) == parameters(BERTopic.__init__)
    public = {name for name, value in inspect.getmembers(BERTopic, callable) if name[0] != "_"}
    assert set(tables["Method"]) == public
    ours = {"Parameter": parameters(TopicModel.__init__), "Method": set(dir(TopicModel))}
    for kind, listed in tables.items():
        for name, here in listed.items():
            assert here in {"same", "better", "different", "not here"}
            assert (name in ours[kind]) == (here != "not here"), name
