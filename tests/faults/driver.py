"""One job as a command, in processes of its own: ``python driver.py fit FOLDER [ADDRESS]``.

FOLDER holds the run, on a file system that can be told to fail. The documents lie where
``DTOPICS_DOCUMENTS`` says, the same for every job: they are part of each stage's key.
"""

import os
import sys
from pathlib import Path

from dtopics import Corpus, TopicModel
from dtopics.errors import DTopicsError
from dtopics.execution.cluster import LocalSettings, local_cluster
from dtopics.testing import HashingEmbedder
from dtopics.testing.failing import Failures

#: Many blocks, a sample that is not the whole corpus, several parts and rounds of clustering.
SETTINGS = {
    "min_topic_size": 15, "sample_size": 400, "block_size": 200, "refine": 4,
    "calculate_probabilities": "sparse", "n_gram_range": (1, 2),
}  # fmt: skip


def model_of(folder, failures):
    return TopicModel(
        embedding_model=HashingEmbedder(), run=f"failing://{folder}/run",
        storage_options=failures.storage_options, **SETTINGS,
    )  # fmt: skip


def corpus_of(name):
    path = Path(os.environ["DTOPICS_DOCUMENTS"]) / name
    return Corpus(str(path), text_column="text", id_column="id")


def work(what, folder, failures, client):
    if what == "fit":
        model_of(folder, failures).fit(corpus_of("documents.parquet"), client=client)
        return
    model = TopicModel.load(
        f"failing://{folder}/run", HashingEmbedder(), storage_options=failures.storage_options
    )
    if what == "update":
        model.partial_fit(corpus_of("more.parquet"), client=client)
    else:
        model.transform(corpus_of("more.parquet"), out=f"failing://{folder}/new", client=client)


def main(what, folder, address=None):
    folder = Path(folder)
    failures = Failures(folder / "failures")
    failures.introduce("client", os.getpid())
    try:
        if address is not None:
            work(what, folder, failures, address)
            return
        with local_cluster(LocalSettings(workers=2, memory_limit="1.6GiB")) as client:
            failures.introduce("scheduler", client.run_on_scheduler(os.getpid))
            work(what, folder, failures, client)
    except DTopicsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
