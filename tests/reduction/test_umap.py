import numpy as np
import pytest

from dtopics.errors import SettingError
from dtopics.reduction import UMAP, ExactNeighbors, as_reducer
from dtopics.reduction import _placing_kernels as kernels
from dtopics.reduction import umap as module

from .contract import ReducerContract, clustered, same_bits

Original = module._umap_learn()


class TestUMAPCosine(ReducerContract):
    def make(self):
        return UMAP(n_neighbors=8, n_components=3, parameters={"n_epochs": 60})


class TestUMAPEuclidean(ReducerContract):
    def make(self):
        others = {"n_epochs": 60, "local_connectivity": 1.5, "disconnection_distance": 0.9}
        return UMAP(n_neighbors=8, n_components=3, metric="euclidean", parameters=others)


@pytest.fixture(scope="module")
def fitted():
    """Return data in eight clusters, umap-learn's fit and ours on the same sample."""
    X, labels = clustered(1000, 32, 8, seed=1, scale=0.5)
    params = {"n_neighbors": 15, "n_components": 5, "min_dist": 0.0, "metric": "cosine"}
    original = Original(**params, random_state=42, n_jobs=1).fit(X[:400])
    return X, labels, original, as_reducer(None, random_state=42).fit(X[:400])


def test_the_fit_is_umap_learns(fitted):
    _, _, original, model = fitted
    np.testing.assert_array_equal(model.embedding, original.embedding_)
    assert (model.a, model.b) == (original._a, original._b)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:sklearn")
def test_placing_agrees_with_umap_learns(fitted):
    from sklearn.manifold import trustworthiness

    X, labels, original, model = fitted
    Q = X[400:]
    ours, theirs = model.transform(Q), original.transform(Q)
    centres = np.stack([model.embedding[labels[:400] == c].mean(axis=0) for c in range(8)])
    nearest = [
        ((places[:, None] - centres) ** 2).sum(-1).argmin(axis=1) for places in (ours, theirs)
    ]
    assert (nearest[0] == nearest[1]).mean() >= 0.97
    assert (nearest[0] == labels[400:]).mean() >= (nearest[1] == labels[400:]).mean() - 0.01
    trust = [trustworthiness(Q, p, n_neighbors=10, metric="cosine") for p in (ours, theirs)]
    assert abs(trust[0] - trust[1]) < 0.01
    typical = np.median(np.linalg.norm(ours - theirs, axis=1))
    apart = np.median(np.linalg.norm(theirs - theirs[::-1], axis=1))
    assert typical < 0.1 * apart


def test_without_negative_samples_placing_is_umap_learns(fitted):
    # No random draw is left, so only the batch's largest weight (1 with a sample row) could differ.
    X, _, _, _ = fitted
    params = {"n_components": 2, "metric": "cosine", "negative_sample_rate": 1e-9}
    params["n_epochs"] = 300  # of which a third for placing
    original = Original(**params, random_state=1, n_jobs=1).fit(X[:200])
    model = as_reducer(original, random_state=None).fit(X[:200])
    batch = np.concatenate([X[:1], X[400:440]])
    np.testing.assert_allclose(model.transform(batch), original.transform(batch), atol=2e-3)


@pytest.mark.parametrize("connectivity", [0.0, 0.5, 1.0, 2.3])
def test_strengths_are_umap_learns(connectivity):
    from umap.umap_ import compute_membership_strengths, smooth_knn_dist

    X, Q = clustered(100, seed=1)[0], clustered(40, seed=2)[0]
    indices, distances = ExactNeighbors(X, "cosine").query(np.concatenate([Q, X[:5]]), 10)
    distances = distances.astype(np.float32)
    sigmas, rhos = smooth_knn_dist(distances, 10.0, local_connectivity=connectivity)
    _, _, weights, _ = compute_membership_strengths(
        indices, distances, sigmas, rhos, bipartite=True
    )
    mean, found = float(distances.mean()), np.empty(10)
    for i, row in enumerate(distances.astype(np.float64)):
        sigma, rho = kernels.smooth_scale(row, connectivity, mean)
        np.testing.assert_allclose([sigma, rho], [sigmas[i], rhos[i]], rtol=1e-3, atol=1e-6)
        kernels.fill_strengths(row, connectivity, mean, np.inf, found)
        np.testing.assert_allclose(found, weights.reshape(-1, 10)[i], rtol=2e-3, atol=1e-5)


def test_a_disconnected_neighbour_has_no_strength():
    distances, found = np.array([0.1, 0.4, 0.5, 0.9]), np.empty(4)
    kernels.fill_strengths(distances, 0.0, 0.5, 0.5, found)
    assert (found[:2] > 0).all()
    assert (found[2:] == 0).all()


@pytest.mark.parametrize("negatives", [0.5, 1.0])
@pytest.mark.parametrize("repulsion", [0.5, 1.0])
def test_the_descent_is_umap_learns(negatives, repulsion):
    # All of the sample stands at one point, so that it does not matter which row is drawn. With
    # one negative sample at a time, it does not matter either that ours push at once.
    from umap.layouts import optimize_layout_euclidean

    strengths, n_epochs = np.array([1.0, 0.63, 0.2, 0.013, 0.004]), 100
    embedding = np.tile(np.float32([3.0, -1.0, 0.5]), (6, 1))
    neighbours = np.array([2, 0, 5, 1, 3], dtype=np.int32)
    for start in ([4.0, 0.0, 0.0], [2.9, -1.1, 0.6], [-30.0, 8.0, 2.0]):
        kept = strengths >= 1 / n_epochs
        expected = optimize_layout_euclidean(
            np.float32([start]),
            embedding.copy(),
            np.zeros(kept.sum(), dtype=np.int32),
            neighbours[kept],
            n_epochs,
            len(embedding),
            1 / strengths[kept],
            1.5,
            0.9,
            np.array([1, 2, 3], dtype=np.int64),
            repulsion,
            0.25,
            negatives,
        )[0]
        place = np.float32(start)
        kernels.descend(
            place, neighbours, strengths, embedding, np.uint64(1), n_epochs, 0.25,
            kernels.force_curve(1.5, 0.9, repulsion), negatives,
        )  # fmt: skip
        np.testing.assert_allclose(place, expected, rtol=1e-3, atol=1e-3)


def test_the_curve_is_umap_learns_forces():
    squared = np.float32(np.random.default_rng(0).uniform(1e-6, 900.0, 2_000))
    squared[:1_000] = np.clip(squared[:1_000] ** 3, 1e-11, 1e7)
    for a, b in ((1.5, 0.9), (1.93, 0.79), (0.3, 1.4)):
        curve = kernels.force_curve(a, b, 0.7)
        pull = [kernels._factor(curve, x, 0) for x in squared]
        push = [kernels._factor(curve, x, 2) for x in squared]
        x = squared.astype(np.float64)
        np.testing.assert_allclose(pull, -2 * a * b * x ** (b - 1) / (a * x**b + 1), rtol=1e-4)
        np.testing.assert_allclose(push, 1.4 * b / ((0.001 + x) * (a * x**b + 1)), rtol=1e-4)
    for extreme in (1e-38, 1e-20, 1e12, 3e38):
        assert np.isfinite(kernels._factor(curve, np.float32(extreme), 0))


def test_negative_samples_are_drawn_from_the_whole_sample():
    embedding = np.arange(50, dtype=np.float32).repeat(2).reshape(50, 2)
    strengths, neighbours = np.ones(3), np.zeros(3, dtype=np.int32)
    places, curve = set(), kernels.force_curve(1.5, 0.9, 1.0)
    for state in range(40):
        place = np.float32([0.5, 0.4])
        kernels.descend(
            place, neighbours, strengths, embedding, np.uint64(state), 2, 0.25, curve, 2.0
        )
        places.add(place.tobytes())
    assert len(places) > 20


def test_the_start_is_umap_learns():
    from scipy.sparse import csr_matrix
    from umap.umap_ import init_graph_transform

    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(6, 3)).astype(np.float32)
    neighbours = np.array([4, 1, 3], dtype=np.int32)
    for strengths in ([0.9, 0.5, 0.1], [1.0, 0.5, 0.1], [0.9, 0.0, 0.0]):
        graph = csr_matrix((strengths, neighbours, [0, 3]), shape=(1, 6))
        graph.eliminate_zeros()
        place = np.empty(3)
        kernels.fill_start(neighbours, np.array(strengths), embedding, place)
        np.testing.assert_allclose(place, init_graph_transform(graph, embedding)[0], rtol=1e-5)
    kernels.fill_start(neighbours, np.zeros(3), embedding, place)
    np.testing.assert_array_equal(place, np.zeros(3))


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 6, 7, 12])
def test_tiny_samples(n_rows):
    X, _ = clustered(n_rows, seed=3)
    model = UMAP().fit(X)
    assert model.embedding.shape == (n_rows, 5)
    assert model.n_neighbors == max(1, n_rows - 1)
    places = model.transform(clustered(9, seed=4)[0])
    assert np.isfinite(places).all()
    if n_rows < 3:
        assert not places.any()


def test_equal_vectors_have_equal_places(fitted):
    X, _, _, model = fitted
    row = X[500:501].copy()
    row[0, 0] = 0.0
    negative = row.copy()
    negative[0, 0] = -0.0
    same_bits(model.transform(row), model.transform(negative))
    half = X[500:600].astype(np.float16)
    same_bits(model.transform(half), model.transform(half.astype(np.float32)))


def test_a_half_precision_sample_is_kept_as_it_is():
    X = clustered(40, seed=1)[0].astype(np.float16)
    model = UMAP(n_neighbors=5, n_components=2, parameters={"n_epochs": 30}).fit(X)
    assert model.sample.dtype == np.float16
    assert not np.shares_memory(model.sample, X)
    same_bits(model.transform(X[:1]), model.transform(X)[:1])


def test_distance_to_the_sample_shows_what_the_sample_lacks(fitted):
    X, _, _, model = fitted
    places, nearest = model.place(X[400:])
    same_bits(places, model.transform(X[400:]))
    same_bits(nearest, model.distance_to_sample(X[400:]))
    _, distances = ExactNeighbors(X[:400], "cosine").query(X[:400], 2)
    assert model.sample_spacing == pytest.approx(np.quantile(distances[:, 1], 0.99))
    assert (nearest > model.sample_spacing).mean() < 0.1
    assert (model.distance_to_sample(-X[:50]) > model.sample_spacing).all()
    np.testing.assert_array_equal(model.distance_to_sample(X[:3]), 0)


def test_known_topics_pull_the_sample_apart():
    X, labels = clustered(80, seed=1, scale=1.5)
    plain, told = (UMAP(n_components=2).fit(X, y).embedding for y in (None, labels))

    def spread(places):
        return np.mean([places[labels == c].std() for c in range(4)]) / places.std()

    assert spread(told) < spread(plain)


def test_the_users_umap_is_never_changed():
    user = Original(n_neighbors=7, min_dist=0.2, metric="cosine", n_epochs=90)
    before = dict(user.get_params())
    reducer = as_reducer(user, random_state=11)
    assert reducer == UMAP(7, 2, 0.2, "cosine", 11, {"n_epochs": 90})
    model = reducer.fit(clustered(30)[0])
    assert model.n_epochs == 30
    assert user.get_params() == before
    assert not hasattr(user, "embedding_")
    assert as_reducer(Original(random_state=5), random_state=11).random_state == 5


def test_descriptions_tell_parameters_apart_but_not_the_number_of_jobs():
    plain = UMAP().describe()
    assert UMAP(parameters={"n_jobs": 3, "verbose": True}).describe() == plain
    assert UMAP(parameters={"spread": 2.0}).describe() != plain
    assert UMAP(random_state=1).describe() != plain


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"metric": "manhattan"}, "'cosine', 'euclidean'"),
        ({"metric": np.linalg.norm}, "'cosine', 'euclidean'"),
        ({"n_neighbors": 1}, "n_neighbors must be a whole number from 2"),
        ({"n_components": 0}, "n_components must be a whole number from 1"),
        ({"random_state": np.random.RandomState(0)}, "random_state must be a whole number"),
        ({"min_dist": -1}, "min_dist must be from 0 to spread"),
        ({"device": "tpu"}, "device must be one of cpu, cuda"),
        ({"parameters": {"neighbours": 3}}, "'neighbours' is not a further parameter"),
        ({"parameters": {"n_components": 3}}, "'n_components' is not a further parameter"),
        ({"parameters": {"densmap": True}}, "densmap=True cannot place"),
        ({"parameters": {"n_epochs": [1, 2]}}, "must be one number"),
        ({"parameters": {"init": np.zeros((3, 2))}}, "init must be"),
    ],
)
def test_settings_without_meaning_are_refused(params, says):
    with pytest.raises(SettingError, match=says):
        UMAP(**params)


def test_what_umap_learn_refuses_is_refused():
    with pytest.raises(SettingError, match="set_op_mix_ratio"):
        UMAP(parameters={"set_op_mix_ratio": 3.0}).fit(clustered(20)[0])
