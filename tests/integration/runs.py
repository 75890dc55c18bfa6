"""What makes two runs the same."""

import hashlib
import threading

import numpy as np

#: Small enough to be quick, large enough that the sample is not the whole corpus.
SETTINGS = {"min_topic_size": 15, "sample_size": 500, "block_size": 100, "refine": False}

#: Of the fit whose topics any corpus and any store must give.
KNOWN = {"min_topic_size": 10, "sample_size": 200, "block_size": 100, "refine": False}


def outcome(model):
    """Return labels, probabilities and words, to be compared bit for bit."""
    stage = model._run.fitted("clusters")
    labels = stage.dask_array("labels").compute(scheduler="threads")
    probabilities = stage.dask_array("probabilities").compute(scheduler="threads")
    examples = {t: [tuple(e) for e in listed] for t, listed in model._topics.examples.items()}
    return {
        "labels": hashlib.sha256(np.ascontiguousarray(labels)).hexdigest(),
        "probabilities": hashlib.sha256(np.ascontiguousarray(probabilities)).hexdigest(),
        "sizes": model.topic_sizes_,
        "words": model.get_topics(),
        "centroids": hashlib.sha256(model.topic_embeddings_.tobytes()).hexdigest(),
        "examples": examples,
    }


def artefacts(run):
    """Return the SHA-256 of every stage's data in use, from the receipts."""
    found = {}
    for stage in run.in_use():
        for receipt in stage.receipts():
            found[stage.name, receipt.name] = receipt.sha256
        whole = stage.whole_receipt()
        if whole is not None:
            found[stage.name, "whole"] = whole.sha256
    return found


def race(file, n=6):
    """Have several threads create one file at once; return which of them did."""
    won, start = [], threading.Barrier(n)

    def write_one(i):
        start.wait()
        if file.create(b"%d" % i):
            won.append(i)

    threads = [threading.Thread(target=write_one, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won
