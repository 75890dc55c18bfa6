"""A script of BERTopic's users runs with the import changed."""

import datetime as dt
from pathlib import Path

import pytest
from twins import paragraphs

from dtopics.embedding.packaged import packaged_path

SCRIPT = Path(__file__).parent / "faq_script.py"
IMPORT = "from bertopic import BERTopic\n"

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


def test_the_faq_with_only_the_import_changed(tmp_path, monkeypatch):
    source = SCRIPT.read_text()
    assert source.count(IMPORT) == 1
    docs = paragraphs(300)
    there = {
        "docs": docs,
        "timestamps": [str(dt.date(2024, 1, 1 + i % 28)) for i in range(len(docs))],
        "classes": [f"class {i % 3}" for i in range(len(docs))],
        "texts_in_chinese": ["我喜欢吃苹果和梨", "苹果很好吃", "汽车的发动机坏了", "修理汽车轮子"]
        * 10,
        "model_path": str(packaged_path("all-MiniLM-L6-v2")),
        "folder": str(tmp_path),
        "__name__": "__main__",
    }
    changed = source.replace(IMPORT, "from dtopics import TopicModel as BERTopic\n")
    exec(compile(changed, str(SCRIPT), "exec"), there)
    assert all(figure.data for figure in there["figures"])
