"""What every object store must do for a run, and a fit from each to itself."""

import pandas as pd
import pytest
from runs import KNOWN, race
from stores import STORES

from dtopics import Corpus, TopicModel
from dtopics.store import Location
from dtopics.testing import HashingEmbedder

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),  # gcsfs does
]

#: More than any of the file systems sends at once, so that each uploads it in parts.
IN_PARTS = 110 << 20


@pytest.fixture(
    scope="module",
    params=["s3", *(pytest.param(name, marks=pytest.mark.slow) for name in ("azure", "google"))],
)
def bucket(request, tmp_path_factory):
    """A place in each store."""
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as (url, options):
        yield Location(url, options)


def test_what_was_written_is_read(bucket):
    file = bucket / "a folder" / "b.txt"
    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        file.read()
    assert (bucket / "none").names() == []
    file.write(b"first")
    file.write(b"second")
    (bucket / "a folder" / "c.txt").write(b"third")
    assert file.read() == b"second"
    assert file.read(1, 3) == b"ec"
    assert file.info()["size"] == 6
    assert (bucket / "a folder").names() == ["b.txt", "c.txt"]
    assert (bucket / "a folder").read_all(["c.txt", "b.txt"]) == [b"third", b"second"]
    (bucket / "a folder").remove()
    (bucket / "a folder").remove()
    assert not file.exists()


def test_of_many_writers_one_wins(bucket):
    file = bucket / "race"
    won = race(file)
    assert len(won) == 1
    assert file.read() == b"%d" % won[0]


def test_the_first_writer_of_what_is_sent_in_parts_wins(bucket):
    file = bucket / "large"
    assert file.create(b"x" * IN_PARTS)
    assert not file.create(b"y" * IN_PARTS)
    assert file.info()["size"] == IN_PARTS
    assert file.read(0, 3) == file.read(IN_PARTS - 3, IN_PARTS) == b"xxx"
    file.remove()


def test_from_a_store_to_itself_on_workers(known, client, bucket):
    corpus, topics, words = known
    table = pd.DataFrame({"text": corpus.texts})
    for i in range(4):
        part = table[i * 100 : i * 100 + 100].to_json(orient="records", lines=True)
        (bucket / "in" / f"{i}.jsonl").write(part.encode())
    options = bucket.storage_options
    source = Corpus(f"{bucket}/in/*.jsonl", text_column="text", storage_options=options)
    model = TopicModel(
        embedding_model=HashingEmbedder(32), run=f"{bucket}/run", storage_options=options,
        **KNOWN,
    )  # fmt: skip
    model.fit(source, corpus.embeddings, client=client)
    assert model.topics_.compute(scheduler="threads").tolist() == topics
    assert model.get_topics() == words
    again = TopicModel.load(f"{bucket}/run", storage_options=options)
    assert again.get_topics() == words
    run = bucket / "run"
    everything = [path for path in run.fs.find(run.path) if path.endswith(".json")]
    secrets = [str(options[name]).encode() for name in ("secret", "connection_string")
               if name in options]  # fmt: skip
    assert not any(s in run.fs.cat_file(path) for path in everything for s in secrets)
