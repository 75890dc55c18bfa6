"""merge, reduce, delete, hierarchy, labels: beside BERTopic, undone, and seen by everybody."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import TopicModel
from dtopics.errors import EmbeddingError, InputError, NotFittedError, RunError
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


def assert_same(twins, ours, theirs, *, with_vectors=True):
    """The same topics of documents, sizes, weights, words and centroids."""
    assert ours.topics_ == list(map(int, theirs.topics_))
    assert ours.topic_sizes_ == {int(t): int(n) for t, n in theirs.topic_sizes_.items()}
    np.testing.assert_allclose(ours.c_tf_idf_.toarray(), theirs.c_tf_idf_.toarray(), atol=1e-12)
    for topic, words in theirs.get_topics().items():
        found = ours.get_topic(int(topic))
        np.testing.assert_allclose([w for _, w in found], [w for _, w in words], atol=1e-12)
    topics = np.array(ours.topics_)
    means = [twins.vectors[topics == topic].mean(axis=0) for topic in sorted(set(topics))]
    np.testing.assert_allclose(ours.topic_embeddings_, means, atol=1e-6)
    if with_vectors:
        np.testing.assert_allclose(ours.topic_embeddings_, theirs.topic_embeddings_, atol=1e-5)


@pytest.fixture
def ours(twins):
    return twins.ours()


@pytest.fixture
def theirs(twins):
    return twins.theirs()


def test_before(twins, ours, theirs):
    assert_same(twins, ours, theirs)


@pytest.mark.parametrize("groups", [[1, 2], [[1, 2], [5, 0, 7]], [[3, -1]], [[-1, 2]]], ids=str)
def test_merge_topics_like_bertopic(twins, ours, theirs, groups):
    ours.merge_topics(twins.texts, groups)
    theirs.merge_topics(twins.texts, groups)
    # BERTopic's centroids are of other topics where the outliers go into one
    assert_same(twins, ours, theirs, with_vectors=groups != [[3, -1]])


@pytest.mark.parametrize("use_ctfidf", [False, True])
@pytest.mark.parametrize("nr_topics", [4, "auto", 100])
def test_reduce_topics_like_bertopic(twins, ours, theirs, nr_topics, use_ctfidf):
    ours.reduce_topics(twins.texts, nr_topics, use_ctfidf=use_ctfidf)
    theirs.reduce_topics(twins.texts, nr_topics, use_ctfidf=use_ctfidf)
    assert_same(twins, ours, theirs)


def test_reduce_topics_after_a_vectorizer(twins):
    vectorizer = CountVectorizer(stop_words="english", max_df=0.9)
    ours = twins.ours(vectorizer_model=vectorizer, top_n_words=7)
    before = ours.c_tf_idf_.shape[1]
    ours.reduce_topics(nr_topics=3)
    assert ours.c_tf_idf_.shape == (3, before)
    assert all(len(words) == 7 for words in ours.get_topics().values())
    assert not {"the", "of"} & {word for words in ours.get_topics().values() for word, _ in words}


def test_delete_topics_like_bertopic(ours, theirs):
    """Sizes, topics and centroids; BERTopic does not count the words of what it deletes."""
    documents = np.array(ours.topics_)
    ours.delete_topics([1, 4])
    theirs.delete_topics([1, 4])
    assert ours.topics_ == list(map(int, theirs.topics_))
    assert ours.topic_sizes_ == {int(t): int(n) for t, n in theirs.topic_sizes_.items()}
    assert ours.topic_sizes_[-1] == np.isin(documents, [-1, 1, 4]).sum()
    kept = [word for word, _ in theirs.get_topic(0)]
    assert [word for word, _ in ours.get_topic(0)][:3] == kept[:3]


def test_deleting_where_there_were_no_outliers(twins):
    model = TopicModel(hdbscan_model=_base(), block_size=2_000)
    labels = np.where(twins.labels < 0, 0, twins.labels)
    model.fit(twins.texts, twins.vectors, y=labels)
    assert -1 not in model.topic_sizes_
    model.delete_topics(2)
    assert model.topic_sizes_[-1] == model.topics_.count(-1) > 0
    assert sum(model.topic_sizes_.values()) == len(twins.texts)


def _base():
    from bertopic.cluster import BaseCluster

    return BaseCluster()


@pytest.mark.parametrize("use_ctfidf", [True, False])
def test_hierarchical_topics_like_bertopic(twins, ours, theirs, use_ctfidf):
    found = ours.hierarchical_topics(twins.texts, use_ctfidf=use_ctfidf)
    expected = theirs.hierarchical_topics(twins.texts, use_ctfidf=use_ctfidf)
    assert list(found.columns) == list(expected.columns)
    for name in ("Parent_ID", "Topics", "Child_Left_ID", "Child_Right_ID"):
        assert found[name].tolist() == expected[name].tolist(), name
    np.testing.assert_allclose(found["Distance"], expected["Distance"].astype(float), atol=1e-6)
    for name in ("Parent_Name", "Child_Left_Name", "Child_Right_Name"):
        for one, two in zip(found[name], expected[name], strict=True):
            assert set(one.split("_")[:3]) == set(two.split("_")[:3])
    ours_drawn, theirs_drawn = (m.get_topic_tree(found) for m in (ours, theirs))
    leaves = [line.split("── Topic: ")[1] for line in ours_drawn.splitlines() if "■" in line]
    assert sorted(map(int, leaves)) == list(range(9))
    assert leaves == [line.split("Topic: ")[1].strip() for line in theirs_drawn.splitlines()
                      if "Topic: " in line]  # fmt: skip


def test_hierarchy_by_functions_of_the_user(ours):
    from scipy.cluster.hierarchy import linkage
    from sklearn.metrics.pairwise import cosine_similarity

    found = ours.hierarchical_topics(
        linkage_function=lambda X: linkage(X, "single"),
        distance_function=lambda X: 1 - cosine_similarity(X),
    )
    assert found["Distance"].is_monotonic_decreasing
    assert sorted(found["Topics"].iloc[0]) == list(range(9))
    with pytest.raises(InputError, match="shape"):
        ours.hierarchical_topics(distance_function=lambda X: np.zeros(3))


def test_a_tree_that_is_cut_shows_what_is_near(ours):
    hierarchy = ours.hierarchical_topics()
    middle = hierarchy["Distance"].median()
    drawn = ours.get_topic_tree(hierarchy, max_distance=middle)
    assert 0 < drawn.count("■") < 9
    assert len(ours.get_topic_tree(hierarchy, tight_layout=True)) < len(
        ours.get_topic_tree(hierarchy)
    )
    with pytest.raises(InputError, match="lacks"):
        ours.get_topic_tree(hierarchy.drop(columns="Topics"))


def test_every_step_is_undone(twins, ours):
    states = [(ours.topics_, ours.get_topics(), ours.get_topic_info().to_dict())]
    for step in (lambda: ours.merge_topics(topics_to_merge=[0, 1]),
                 lambda: ours.reduce_topics(nr_topics=5),
                 lambda: ours.set_topic_labels({0: "first"}),
                 lambda: ours.delete_topics([1])):  # fmt: skip
        assert step() is ours
        states.append((ours.topics_, ours.get_topics(), ours.get_topic_info().to_dict()))
    assert len({json.dumps(state[2], default=str) for state in states}) == 5
    made = ours.versions_["made"].tolist()
    assert made == ["fit", "merge_topics([0, 1])", "reduce_topics(5)", "set_topic_labels",
                    "delete_topics([1])"]  # fmt: skip
    for state in states[-2::-1]:
        ours.undo()
        assert (ours.topics_, ours.get_topics(), ours.get_topic_info().to_dict()) == state
    with pytest.raises(InputError, match="nothing to undo"):
        ours.undo()


def test_a_version_is_taken_up_by_its_name(ours):
    fitted = ours.topic_sizes_
    first = ours.versions_["version"][0]
    ours.merge_topics(topics_to_merge=[0, 1]).reduce_topics(nr_topics=3)
    with pytest.raises(InputError, match="0 versions begin"):
        ours.undo("nothing")
    assert ours.undo(first[:8]).topic_sizes_ == fitted


def test_steps_stay_in_the_run(twins, tmp_path, client):
    run = str(tmp_path / "run")
    model = twins.ours(run=run, block_size=200, client=client)
    labels = np.concatenate([np.array(model.topics_)])
    model.merge_topics(topics_to_merge=[[0, 1, 2]])
    opened = TopicModel.load(run)
    assert opened.topic_sizes_ == model.topic_sizes_
    assert opened.get_topics() == model.get_topics()
    assert opened.topics_.compute().tolist() == model.topics_
    parts = sorted((tmp_path / "run" / "assignments").glob("part-*.parquet"))
    assert len(parts) == 8
    assigned = np.concatenate([pq.read_table(part)["topic"].to_numpy() for part in parts])
    assert assigned.tolist() == model.topics_
    assert ((assigned == 0) == np.isin(labels, [0, 1, 2])).all()
    opened.undo()
    assigned = np.concatenate([pq.read_table(part)["topic"].to_numpy() for part in parts])
    assert assigned.tolist() == labels.tolist()


def test_a_handle_that_is_behind_changes_nothing(twins, tmp_path):
    run = str(tmp_path / "run")
    model = twins.ours(run=run)
    other = TopicModel.load(run)
    model.merge_topics(topics_to_merge=[0, 1])
    for _ in range(2):
        with pytest.raises(RunError, match="has other topics by now: merge_topics"):
            other.delete_topics([0])
    assert TopicModel.load(run).topic_sizes_ == model.topic_sizes_


def test_blocks_do_not_matter(twins, client):
    found = []
    for block_size in (90, 4_000):
        model = twins.ours(block_size=block_size, client=client)
        model.merge_topics(topics_to_merge=[2, 5], client=client).reduce_topics(nr_topics=4)
        found.append((model.topics_, model.get_topics(), model.get_representative_docs(),
                      model.topic_embeddings_.tolist()))  # fmt: skip
    assert found[0] == found[1]


def test_representative_documents_are_of_the_topic(twins, ours):
    ours.merge_topics(topics_to_merge=[[0, 3], [1, 2, 4]])
    topics = dict(zip(twins.texts, ours.topics_, strict=True))
    for topic, texts in ours.get_representative_docs().items():
        assert len(texts) == 3
        assert {topics[text] for text in texts} == {topic}


@pytest.mark.parametrize(
    ("topics", "said"),
    [([1, 99], "topic 99"), ([[1, 2], [2, 3]], "topic 2 stands in two"), ([], "expected topics"),
     ([1, [2, 3]], "expected topics"), (None, "say which"), (["a"], "'a'")],
)  # fmt: skip
def test_bad_groups_are_said(ours, topics, said):
    before = ours.topic_sizes_
    with pytest.raises(InputError, match=said):
        ours.merge_topics(topics_to_merge=topics)
    assert ours.topic_sizes_ == before
    assert len(ours.versions_) == 1


def test_what_changes_nothing_makes_no_version(ours):
    ours.reduce_topics(nr_topics=100)
    ours.merge_topics(topics_to_merge=[3])
    assert len(ours.versions_) == 1


def test_labels(ours, theirs):
    for options in (
        {},
        {"nr_words": 2, "topic_prefix": False},
        {"word_length": 4, "separator": ", "},
    ):
        found, expected = (m.generate_topic_labels(**options) for m in (ours, theirs))
        assert [x.split("_")[:2] for x in found] == [x.split("_")[:2] for x in expected]
    assert ours.custom_labels_ is None
    ours.set_topic_labels(ours.generate_topic_labels())
    theirs.set_topic_labels(theirs.generate_topic_labels())
    ours.set_topic_labels({1: "one"})
    theirs.set_topic_labels({1: "one"})
    assert ours.custom_labels_[2] == theirs.custom_labels_[2] == "one"
    assert list(ours.get_topic_info().columns) == list(theirs.get_topic_info().columns)
    with pytest.raises(InputError, match="2 labels for 10 topics"):
        ours.set_topic_labels(["a", "b"])
    with pytest.raises(InputError, match="topic 77"):
        ours.set_topic_labels({77: "x"})


def test_a_label_goes_with_its_topic(ours):
    ours.set_topic_labels({5: "five", 0: "zero"})
    five = ours.topic_sizes_[5]
    ours.merge_topics(topics_to_merge=[0, 1])
    [(topic, _)] = [(t, n) for t, n in ours.topic_sizes_.items() if n == five and t >= 0]
    assert ours.custom_labels_[topic + 1] == "five"
    assert "zero" not in ours.custom_labels_


def test_find_topics(twins):
    texts = ["apple pear plum fruit"] * 40 + ["engine wheel brake car"] * 40
    model = TopicModel(embedding_model=HashingEmbedder(), min_topic_size=10, hdbscan_model=_base())
    model.fit(texts, y=[0] * 40 + [1] * 40)
    found, cosines = model.find_topics("engine brake", top_n=2)
    assert {"engine", "wheel"} & {word for word, _ in model.get_topic(found[0])}
    assert cosines[0] > cosines[1]
    with pytest.raises(InputError, match="search_term"):
        model.find_topics("  ")
    with pytest.raises(EmbeddingError, match="embeddings were given"):
        twins.ours().find_topics("array")


def test_a_predictor_keeps_no_counts(twins, ours, tmp_path):
    ours.save(str(tmp_path / "saved"))
    saved = TopicModel.load(str(tmp_path / "saved"))
    with pytest.raises(NotFittedError, match="open the run"):
        saved.merge_topics(topics_to_merge=[0, 1])
