"""Memberships over a run directory: what the library functions give, in any number of parts."""

import dask
import numpy as np
import pytest
from sklearn.cluster import KMeans
from test_distributed import noisy, run_of

from dtopics import TopicModel
from dtopics.clustering import HDBSCAN, as_clusterer, membership_steps
from dtopics.clustering.membership import Membership, exemplar_rows, top
from dtopics.clustering.membership_steps import NewMemberships, find_memberships
from dtopics.clustering.steps import cluster_points
from dtopics.errors import NotFittedError, SettingError
from dtopics.execution import InProcessExecutor


def expected_of(X):
    """Return the model, and the memberships of its points and a way to those of new ones."""
    model = HDBSCAN(10).fit(X).model_
    tree, chosen = model.tree, model.clusters.chosen
    rows, labels = exemplar_rows(tree, chosen)
    parts = tree.parent, tree.birth, tree.max_lambda(), chosen
    table = Membership.of(*parts, X[rows], labels)
    return model, table, table.of_fitted(X, tree.point_node, tree.point_lambda)


def clustered(folder, X, part_points, form):
    run, reduced, blocks = run_of(folder, X)
    executor = InProcessExecutor()
    with dask.config.set({"dtopics.clustering.part-points": part_points}):
        clusters = cluster_points(run, HDBSCAN(10).clusterer(), reduced, blocks, executor)
    stage = find_memberships(run, form, reduced, clusters, blocks, executor)
    return run, clusters, stage, blocks


def read(stage, blocks, name):
    return np.concatenate([stage.array(name, block) for block in blocks])


@pytest.mark.parametrize("part_points", [10_000, 200])
def test_memberships_of_fitted_and_new_documents(tmp_path, part_points):
    X = noisy()
    placed = np.isfinite(X).all(axis=1)
    model, table, expected = expected_of(X[placed])
    run, clusters, stage, blocks = clustered(tmp_path / "fit", X, part_points, "dense")
    found = read(stage, blocks, "dense")
    np.testing.assert_array_equal(found[placed], expected.astype(np.float32))
    np.testing.assert_array_equal(found[~placed], 0)
    assert expected.max() > 0.5, "the case"

    new = noisy(seed=5)
    there = np.isfinite(new).all(axis=1)
    _, reduced, new_blocks = run_of(tmp_path / "new", new)
    step = NewMemberships(reduced, clusters, run.stage("membership table", {}, [clusters, run.stage("reduced", {})]), 0)  # fmt: skip
    found = np.concatenate([step(block)["dense"] for block in new_blocks])
    wanted = np.zeros((there.sum(), table.n_clusters))
    for rows, joined in model.join(new[there]):
        wanted[rows] = table.of_new(new[there][rows], joined.node, joined.lambdas, joined.density)
    np.testing.assert_array_equal(found[there], wanted.astype(np.float32))
    np.testing.assert_array_equal(found[~there], 0)


def test_the_sparse_form_keeps_the_largest(tmp_path):
    X = noisy()
    placed = np.isfinite(X).all(axis=1)
    _, _, expected = expected_of(X[placed])
    _, _, stage, blocks = clustered(tmp_path, X, 300, "sparse")
    cluster, value = top(expected, membership_steps.KEPT_CLUSTERS)
    np.testing.assert_array_equal(read(stage, blocks, "cluster")[placed], cluster)
    np.testing.assert_array_equal(read(stage, blocks, "membership")[placed], value)
    np.testing.assert_array_equal(read(stage, blocks, "cluster")[~placed], -1)


@pytest.mark.parametrize(("form", "limit"), [("dense", "STORED_BYTES"), ("held", "HELD_BYTES")])
def test_too_large_is_refused_before_it_is_written(tmp_path, monkeypatch, form, limit):
    monkeypatch.setattr(membership_steps, limit, 4 * 1_875 * 3)
    with pytest.raises(SettingError, match=r"1,875 documents in \d+ topics.*sparse"):
        clustered(tmp_path, noisy(), 300, form)
    assert not (tmp_path / "stages" / "memberships").exists()


def test_other_clusterers_have_none(tmp_path):
    run, reduced, blocks = run_of(tmp_path, noisy())
    executor = InProcessExecutor()
    clusters = cluster_points(run, as_clusterer(KMeans(3)), reduced, blocks, executor)
    with pytest.raises(SettingError, match="needs HDBSCAN"):
        find_memberships(run, "sparse", reduced, clusters, blocks, executor)


def test_a_list_gets_a_matrix_as_in_bertopic(corpus, tmp_path, client):
    model = TopicModel(min_topic_size=15, calculate_probabilities=True, run=str(tmp_path))
    topics, probabilities = model.fit_transform(corpus.texts, corpus.embeddings, client=client)
    assert probabilities.shape == (len(corpus.texts), model._topics.n_topics)
    inside = np.array(topics) >= 0
    agree = probabilities[inside].argmax(axis=1) == np.array(topics)[inside]
    assert agree.mean() > 0.95
    assert (probabilities.sum(axis=1) <= 1 + 1e-5).all()
    _, new = model.transform(corpus.texts[:50], corpus.embeddings[:50], client=client)
    assert new.shape == (50, model._topics.n_topics)
    opened = TopicModel.load(str(tmp_path))
    np.testing.assert_array_equal(opened.memberships_.compute(), probabilities)


def test_merged_topics_add_up(corpus, tmp_path, client):
    whole = TopicModel(min_topic_size=15, calculate_probabilities=True, run=str(tmp_path))
    _, before = whole.fit_transform(corpus.texts, corpus.embeddings, client=client)
    merged = TopicModel(
        min_topic_size=15, calculate_probabilities=True, run=str(tmp_path), nr_topics=4
    )
    _, after = merged.fit_transform(corpus.texts, corpus.embeddings, client=client)
    assert after.shape[1] < before.shape[1]
    outliers_too = set(merged._topics.mapping.values()) - {-1}
    assert after.shape[1] == len(outliers_too)


def test_files_get_the_sparse_form_lazily(corpus, tmp_path, client):
    import pandas as pd

    file = tmp_path / "corpus.parquet"
    pd.DataFrame({"text": corpus.texts}).to_parquet(file)
    settings = {"min_topic_size": 15, "run": str(tmp_path / "run")}
    model = TopicModel(calculate_probabilities=True, **settings)
    model.fit(str(file), corpus.embeddings, client=client)
    lazy = model.memberships_
    assert lazy.shape == (len(corpus.texts), model._topics.n_topics)
    assert ((lazy.compute() > 0).sum(axis=1) <= membership_steps.KEPT_CLUSTERS).all()
    topics, new = model.transform(
        str(file), corpus.embeddings, out=str(tmp_path / "new"), client=client
    )
    assert new.shape == lazy.shape
    found, inside = new.compute(), topics.compute() >= 0
    assert ((found > 0).sum(axis=1) <= membership_steps.KEPT_CLUSTERS).all()
    _, listed = model.transform(corpus.texts, corpus.embeddings, client=client)
    np.testing.assert_array_equal(found[found > 0], listed[found > 0])
    assert (found.argmax(axis=1) == topics.compute())[inside].mean() > 0.95
    plain = TopicModel(**settings).fit(str(file), corpus.embeddings, client=client)
    with pytest.raises(NotFittedError, match="calculate_probabilities=True"):
        _ = plain.memberships_


@pytest.mark.parametrize("value", ["all", 1, None, 0.5])
def test_a_wrong_setting(value):
    with pytest.raises(SettingError, match="calculate_probabilities must be"):
        TopicModel(calculate_probabilities=value).fit(["a", "b"], np.eye(2))
