"""reduce_outliers, update_topics, approximate_distribution: beside BERTopic, and undone."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from dtopics import ClassTfidfTransformer, TopicModel
from dtopics.errors import InputError, NotFittedError, SettingError
from dtopics.representation.windows import Windowing, windows_of
from dtopics.testing import HashingEmbedder

pytestmark = pytest.mark.filterwarnings("ignore")  # BERTopic's and its dependencies' own


@pytest.fixture(scope="module")
def models(twins):
    return twins.ours(), twins.theirs()


@pytest.fixture
def ours(twins):
    return twins.ours()


def outliers_of(found, expected, before):
    """Agreement, and how many moved: ties between topics may fall either way."""
    found, expected, before = map(np.array, (found, expected, before))
    assert (found[before != -1] == before[before != -1]).all()
    assert (found == -1).sum() == (expected == -1).sum()
    return (found == expected).mean()


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("c-tf-idf", {}), ("c-tf-idf", {"threshold": 0.2}), ("distributions", {}),
     ("distributions", {"threshold": 0.15}),
     ("distributions", {"distributions_params": {"window": 6, "stride": 3, "padding": True}}),
     ("embeddings", {}), ("embeddings", {"threshold": 0.4})],
)  # fmt: skip
def test_reduce_outliers_like_bertopic(twins, models, strategy, options):
    ours, theirs = models
    if strategy == "embeddings":
        options = {**options, "embeddings": twins.vectors}
    expected = theirs.reduce_outliers(twins.texts, theirs.topics_, strategy=strategy, **options)
    found = ours.reduce_outliers(twins.texts, ours.topics_, strategy=strategy, **options)
    assert outliers_of(found, expected, ours.topics_) > 0.999
    if strategy == "embeddings":
        stored = ours.reduce_outliers(strategy="embeddings", threshold=options.get("threshold", 0))
        assert stored == found


@pytest.mark.parametrize("threshold", [0, 0.3])
def test_reduce_outliers_by_probabilities(twins, models, threshold):
    ours, theirs = models
    chances = np.random.default_rng(0).random((len(twins.texts), 9)) * 0.4
    options = {"strategy": "probabilities", "probabilities": chances, "threshold": threshold}
    assert ours.reduce_outliers(twins.texts, ours.topics_, **options) == list(
        map(int, theirs.reduce_outliers(twins.texts, theirs.topics_, **options))
    )


def with_noise():
    """Five groups of points and points between them, where nothing reduces them."""
    from bertopic.dimensionality import BaseDimensionalityReduction

    rng = np.random.default_rng(0)
    groups = np.repeat(np.eye(5, 6) * 3, 150, axis=0) + rng.normal(0, 0.2, (750, 6))
    vectors = np.concatenate([groups, rng.uniform(-1, 4, (150, 6))])
    texts = [f"word{i // 150} and word{i % 7}" for i in range(900)]
    return texts, vectors, {"umap_model": BaseDimensionalityReduction(), "min_topic_size": 20,
                            "block_size": 1_000}  # fmt: skip


def test_probabilities_that_were_calculated():
    texts, vectors, options = with_noise()
    model = TopicModel(calculate_probabilities=True, **options).fit(texts, vectors)
    before, memberships = np.array(model.topics_), model.probabilities_
    assert (before == -1).any()
    found = np.array(model.reduce_outliers(strategy="probabilities", threshold=0.01))
    moved = (before == -1) & (found != -1)
    assert moved.any()
    assert (memberships.max(axis=1)[moved] >= 0.01).all()
    assert (found[moved] == memberships.argmax(axis=1)[moved]).all()
    model.update_topics(topics=found)
    assert model.memberships_.shape == (900, model.get_topic_info()["Topic"].ge(0).sum())
    with pytest.raises(NotFittedError, match="calculate_probabilities"):
        TopicModel(**options).fit(texts, vectors).reduce_outliers(strategy="probabilities")


def test_strategies_in_a_chain(twins, models):
    ours, theirs = models
    found = {}
    for name, model in (("ours", ours), ("theirs", theirs)):
        first = model.reduce_outliers(
            twins.texts, list(model.topics_), strategy="c-tf-idf", threshold=0.3
        )
        found[name] = model.reduce_outliers(twins.texts, first, strategy="distributions")
    assert outliers_of(found["ours"], found["theirs"], ours.topics_) > 0.999


def test_update_topics_like_bertopic(twins):
    ours, theirs = twins.ours(), twins.theirs()
    new = ours.reduce_outliers(strategy="c-tf-idf", threshold=0.1)
    for model in (ours, theirs):
        model.update_topics(twins.texts, topics=new)
    assert ours.topics_ == new
    assert ours.topic_sizes_ == {int(t): int(n) for t, n in sorted(theirs.topic_sizes_.items())}
    np.testing.assert_allclose(ours.c_tf_idf_.toarray(), theirs.c_tf_idf_.toarray(), atol=1e-12)
    for topic, words in theirs.get_topics().items():
        weights = [weight for _, weight in ours.get_topic(int(topic))]
        np.testing.assert_allclose(weights, [weight for _, weight in words], atol=1e-12)
    means = [twins.vectors[np.array(new) == t].mean(axis=0) for t in sorted(set(new))]
    np.testing.assert_allclose(ours.topic_embeddings_, means, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [{"n_gram_range": (1, 2)}, {"top_n_words": 4},
     {"vectorizer_model": CountVectorizer(stop_words="english", max_df=0.8)},
     {"vectorizer_model": CountVectorizer(lowercase=False, token_pattern=r"[A-Za-z]{4,}")},
     {"ctfidf_model": ClassTfidfTransformer(bm25_weighting=True, reduce_frequent_words=True)}],
    ids=lambda settings: next(iter(settings)),
)  # fmt: skip
def test_other_words_are_as_if_fitted_so(twins, settings):
    updated = twins.ours().update_topics(**settings)
    fitted = twins.ours(**settings)
    assert updated.get_topics() == fitted.get_topics()
    assert (updated.c_tf_idf_ != fitted.c_tf_idf_).nnz == 0
    assert updated.topics_ == fitted.topics_
    updated.merge_topics(topics_to_merge=[0, 1])
    fitted.merge_topics(topics_to_merge=[0, 1])
    assert updated.get_topics() == fitted.get_topics()


def test_what_is_not_given_stays(twins):
    vectorizer = CountVectorizer(stop_words="english", ngram_range=(1, 2))
    model = twins.ours(vectorizer_model=vectorizer, top_n_words=6)
    model.update_topics(ctfidf_model=ClassTfidfTransformer(reduce_frequent_words=True))
    words = [word for listed in model.get_topics().values() for word, _ in listed]
    assert all(len(listed) == 6 for listed in model.get_topics().values())
    assert not {"the", "of", "is"} & set(words)
    assert any(" " in word for word in words)


def test_updates_are_undone_and_stay_in_the_run(twins, client, tmp_path):
    run = str(tmp_path / "run")
    model = twins.ours(run=run, block_size=200, client=client)
    before = (model.topics_, model.get_topics(), model.topic_embeddings_.tolist())
    new = model.reduce_outliers(strategy="distributions", client=client)
    model.update_topics(topics=new, client=client)
    after = (model.topics_, model.get_topics(), model.topic_embeddings_.tolist())
    opened = TopicModel.load(run)
    assert opened.topics_.compute().tolist() == new
    assert opened.get_topics() == after[1]
    parts = sorted((tmp_path / "run" / "assignments").glob("part-*.parquet"))
    assert np.concatenate([pq.read_table(p)["topic"].to_numpy() for p in parts]).tolist() == new
    lazy = opened.reduce_outliers(strategy="embeddings")
    assert opened.update_topics(topics=lazy).topics_.compute().tolist() == lazy.compute().tolist()
    opened.undo()
    assert opened.get_topics() == after[1]
    opened.undo()
    assert (opened.topics_.compute().tolist(), opened.get_topics(),
            opened.topic_embeddings_.tolist()) == before  # fmt: skip
    one = twins.ours().update_topics(topics=new)
    assert (one.topics_, one.get_topics(), one.topic_embeddings_.tolist()) == after


def test_steps_after_an_update(twins, ours):
    new = ours.reduce_outliers(strategy="embeddings")
    ours.update_topics(topics=new)
    assert -1 not in ours.topic_sizes_
    ours.merge_topics(topics_to_merge=[[0, 1], [2, 3]])
    assert sum(ours.topic_sizes_.values()) == len(twins.texts)
    assert ours.topic_sizes_ == {t: ours.topics_.count(t) for t in sorted(set(ours.topics_))}
    per_class = ours.topics_per_class(classes=twins.classes)
    assert per_class.groupby("Topic")["Frequency"].sum().to_dict() == ours.topic_sizes_
    ours.update_topics(topics=[t if t else 1 for t in ours.topics_])  # topic 0 goes
    assert 0 not in ours.topic_sizes_
    assert ours.get_topic(0) is False


def test_new_documents_after_an_update():
    texts, vectors, options = with_noise()
    model = TopicModel(**options).fit(texts, vectors)
    before, _ = model.transform(texts, vectors)
    assert -1 in before
    model.update_topics(topics=model.reduce_outliers(strategy="embeddings"))
    assert -1 not in model.topics_
    after, _ = model.transform(texts, vectors)
    assert after == before  # predicted by cluster, whatever outliers became


@pytest.mark.parametrize("options", [{}, {"window": 8, "stride": 3}, {"padding": True},
                                     {"window": 5, "stride": 2, "padding": True},
                                     {"min_similarity": 0}, {"calculate_tokens": True}], ids=str)  # fmt: skip
def test_approximate_distribution_like_bertopic(twins, models, options):
    ours, theirs = models
    texts = [*twins.texts[:150], "", "one", "?!"]
    expected, of_tokens = theirs.approximate_distribution(texts, **options)
    found, ours_of_tokens = ours.approximate_distribution(texts, **options)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (of_tokens is None) == (ours_of_tokens is None)
    if of_tokens is not None:
        assert len(of_tokens) == len(ours_of_tokens)
        for one, two in zip(ours_of_tokens, of_tokens, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-9)


def test_distributions_of_all_documents(twins, models, client):
    model = twins.ours(block_size=300, client=client)
    lazy, nothing = model.approximate_distribution(client=client)
    assert nothing is None
    expected, _ = models[0].approximate_distribution(twins.texts)
    np.testing.assert_array_equal(lazy.compute(), expected)


def test_distributions_by_embeddings():
    texts = ["apple pear plum fruit"] * 40 + ["engine wheel brake car"] * 40
    model = TopicModel(embedding_model=HashingEmbedder(), min_topic_size=10, block_size=100)
    model.fit(texts)
    [row], tokens = model.approximate_distribution(
        "apple pear plum fruit apple", use_embedding_model=True, calculate_tokens=True
    )
    assert row.argmax() == model.topics_[0]
    assert len(tokens[0]) == 5
    only, _ = model.approximate_distribution("apple pear plum fruit", use_embedding_model=True)
    assert only.argmax() == model.topics_[0]


def test_a_vectorizer_that_is_not_known_is_said(twins, tmp_path):
    run = str(tmp_path / "run")
    twins.ours(run=run, vectorizer_model=CountVectorizer(tokenizer=str.split, token_pattern=None))
    opened = TopicModel.load(run)
    opened.vectorizer_model = None
    with pytest.raises(InputError, match="set it"):
        opened.approximate_distribution("a text")
    opened.vectorizer_model = CountVectorizer(tokenizer=str.split, token_pattern=None)
    assert opened.approximate_distribution("a text")[0].shape == (1, 9)


def test_bad_input_is_said(twins, ours):
    with pytest.raises(SettingError, match="strategy must be one of"):
        ours.reduce_outliers(strategy="guess")
    with pytest.raises(InputError, match="shape"):
        ours.reduce_outliers(strategy="probabilities", probabilities=np.zeros((3, 3)))
    with pytest.raises(InputError, match="distributions_params"):
        ours.reduce_outliers(distributions_params={"windows": 3})
    with pytest.raises(SettingError, match="window must be"):
        ours.approximate_distribution("a", window=0)
    with pytest.raises(InputError, match="nothing is to be updated"):
        ours.update_topics(twins.texts)
    with pytest.raises(InputError, match="1,500 documents"):
        ours.update_topics(topics=[1, 2])
    with pytest.raises(InputError, match="at least"):
        ours.update_topics(topics=[-2] * len(twins.texts))
    with pytest.raises(InputError, match="images"):
        ours.update_topics(images=["a.png"])
    with pytest.raises(SettingError):
        ours.update_topics(n_gram_range=(2, 1))
    assert len(ours.versions_) == 1


@pytest.mark.parametrize("windowing", [Windowing(), Windowing(3, 2), Windowing(5, 2, padding=True),
                                       Windowing(4, 7, padding=True)], ids=str)  # fmt: skip
def test_windows_one_by_one(windowing):
    import math

    lengths = [0, 1, 2, 3, 4, 5, 9, 0, 11]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    expected = []
    window, stride = windowing.window, windowing.stride
    for document, n in enumerate(lengths):
        if n < window:
            spans = [(0, n)]
        else:
            spans = [(s, min(s + window, n)) for s in range(0, n, stride)
                     if windowing.padding or s + window <= n]  # fmt: skip
            if windowing.padding:
                t = math.ceil(window / stride) - 1
                spans = [(0, window - (t - i) * stride) for i in range(t)] + spans
        expected += [(document, offsets[document] + a, b - a) for a, b in spans]
    assert list(zip(*windows_of(offsets, windowing), strict=True)) == expected


def test_a_hierarchy_of_topics_with_a_gap_is_refused(twins, ours):
    """Merges are numbered after the topics, so these must be numbered without a gap."""
    ours.update_topics(topics=[1 if topic == 0 else topic for topic in ours.topics_])
    with pytest.raises(InputError, match="topic 0"):
        ours.hierarchical_topics()
    ours.merge_topics(topics_to_merge=[[1, 2]])
    assert len(ours.hierarchical_topics()) == 6
