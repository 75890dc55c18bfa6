"""What tests share: corpora, and clusters of real processes."""

import contextlib
import os
import sys

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# gcsfs asks an API that no emulator has what kind of bucket it is
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

#: Folders whose files take some seconds each.
SHORT = ("clustering", "embedding", "reduction", "report", "representation", "store")


def pytest_collection_modifyitems(items):
    """Begin with the files that run whole fits, so that two processes end at about one time."""
    items.sort(key=lambda item: item.path.parent.name in SHORT)


@pytest.fixture(scope="session")
def corpus():
    """1,200 documents of 6 topics, with outliers and empty ones, and their embeddings."""
    from dtopics.testing import made_up

    return made_up(1_200, 6, outliers=0.1, empty=0.02, random_state=3)


@pytest.fixture(scope="session")
def known():
    """A made-up corpus, and the topics and words that any kind of it and any store must give."""
    from runs import KNOWN  # beside the tests that ask for it

    from dtopics import TopicModel
    from dtopics.testing import made_up

    corpus = made_up(400, 4, outliers=0.0, random_state=5)
    model = TopicModel(run="memory://known", **KNOWN)
    topics, _ = model.fit_transform(corpus.texts, corpus.embeddings)
    return corpus, topics, model.get_topics()


@contextlib.contextmanager
def cluster_of(n_workers, threads=1, **options):
    """Give a client of a local cluster of processes, on free ports."""
    import dask
    from distributed import Client, LocalCluster

    with (
        # else Dask gives a nanny up when two kills of its worker lie 15 s apart
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=threads,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
            **options,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """See that a test leaves Dask's scheduler as it was, for those that come after it."""
    yield
    if "dask" in sys.modules:
        import dask

        assert dask.config.get("scheduler", None) is None


@pytest.fixture(scope="session")
def client():
    """A client of two workers of one thread each, kept for the whole session."""
    with cluster_of(2) as found:
        yield found


@pytest.fixture(scope="session")
def twins():
    """1,500 paragraphs in 9 classes and outliers, for BERTopic and dtopics side by side."""
    from twins import make_twins  # beside the tests that ask for it

    return make_twins()


@pytest.fixture
def with_a_gpu():
    """A client of two workers, one of which has the resource ``GPU``."""
    from distributed import Client, SpecCluster
    from distributed.nanny import Nanny
    from distributed.scheduler import Scheduler

    workers = {
        "plain": {"cls": Nanny, "options": {"nthreads": 1}},
        "gpu": {"cls": Nanny, "options": {"nthreads": 1, "resources": {"GPU": 1}}},
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": "127.0.0.1:0"}}
    with (
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(2)
        yield client
