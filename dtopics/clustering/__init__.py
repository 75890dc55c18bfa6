"""Points to clusters: HDBSCAN* by default, any scikit-learn clusterer besides.

`HDBSCAN` is the estimator that users hold; `as_clusterer` turns whatever was given as
``hdbscan_model`` into an object with the `Clusterer` role, whose `fit` returns a frozen model and
never changes the user's object; `load_model` brings a stored model back.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dtopics.data import OUTLIER
from dtopics.errors import RunError, SettingError

if TYPE_CHECKING:
    from dtopics.clustering.hdbscan import HDBSCAN
    from dtopics.clustering.hdbscan_clusterer import HDBSCANClusterer
    from dtopics.clustering.hdbscan_model import HDBSCANModel
    from dtopics.clustering.wrapped import CentroidModel, ForeignModel, WrappedClassifier
    from dtopics.protocols import Arrays, Clusterer, ClustererModel

logger = logging.getLogger("dtopics")

__all__ = [
    "GIANT_SHARE",
    "HDBSCAN",
    "OUTLIER",
    "HDBSCANClusterer",
    "HDBSCANModel",
    "as_clusterer",
    "load_model",
]

#: By default a cluster of a larger share of all documents gives way to the clusters within it.
#: Excess of mass takes such a giant now and then, and nearly every document is then in one topic:
#: 15 of 20 seeds of 20 Newsgroups fit on a quarter of it (benchmarks/RESULTS.md).
GIANT_SHARE = 0.8

_HOMES = {"HDBSCAN": "hdbscan", "HDBSCANClusterer": "hdbscan_clusterer",
          "HDBSCANModel": "hdbscan_model"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"dtopics.clustering.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def as_clusterer(
    hdbscan_model: Any, *, min_topic_size: int = 10, random_state: int | None = None
) -> Clusterer | WrappedClassifier | None:
    """Return the clusterer for what a user gave as ``hdbscan_model``.

    Parameters
    ----------
    hdbscan_model : object or None
        ``None``: `HDBSCAN` with ``min_cluster_size=min_topic_size`` and
        ``max_cluster_size=0.8``. A `HDBSCAN` of dtopics, of ``hdbscan``, of scikit-learn or of
        cuML: ours, exact, with its settings (those that mean something else here, another metric
        say, make it run as it is, on one worker). Any clusterer of scikit-learn: a clone of it, on
        one worker. An object with the `Clusterer` role: itself. What became of another library's
        is logged.
    min_topic_size : int, default=10
        The least number of documents of a topic, for ``None``.
    random_state : int, optional
        For clusterers whose own ``random_state`` is ``None``.

    Returns
    -------
    Clusterer, WrappedClassifier or None
        A classifier learns the classes (``y``). ``None`` for BERTopic's ``BaseCluster``: no
        clustering, the caller takes labels from ``y``.

    Raises
    ------
    SettingError
        `min_topic_size` is no integer above 1, or the object cannot cluster.
    """
    from dtopics.clustering import wrapped
    from dtopics.clustering.hdbscan import HDBSCAN
    from dtopics.clustering.hdbscan_clusterer import HDBSCANClusterer, from_foreign
    from dtopics.clustering.points import is_integer

    if not is_integer(min_topic_size) or min_topic_size < 2:
        raise SettingError(
            f"min_topic_size={min_topic_size!r}: a topic needs an integer of at least 2 documents"
        )
    if hdbscan_model is None:
        return HDBSCAN(int(min_topic_size), max_cluster_size=GIANT_SHARE).clusterer()
    if isinstance(hdbscan_model, type):
        name = hdbscan_model.__name__
        raise SettingError(f"hdbscan_model is the class {name}; give an instance: {name}(...)")
    if isinstance(hdbscan_model, HDBSCAN):
        return hdbscan_model.clusterer()
    if isinstance(hdbscan_model, HDBSCANClusterer):
        return hdbscan_model
    kind = type(hdbscan_model)
    if kind.__name__ == "BaseCluster" and kind.__module__.startswith("bertopic."):
        return None
    if hasattr(hdbscan_model, "describe") and hasattr(hdbscan_model, "fit"):
        return hdbscan_model  # type: ignore[no-any-return]
    ours = from_foreign(hdbscan_model)
    given = f"{kind.__module__.partition('.')[0]}'s {kind.__name__}"
    if ours is not None:
        logger.info("%s: run by dtopics with its settings, exact, over all workers", given)
        return ours
    clusterer = wrapped.wrap(hdbscan_model, random_state=random_state)
    logger.info("%s: run as it is, on one worker, which holds all reduced points", given)
    return clusterer


def load_model(
    params: Mapping[str, Any], arrays: Arrays, *, trust: bool = False
) -> ClustererModel | HDBSCANModel | CentroidModel | ForeignModel:
    """Return the model that ``to_arrays`` of a fitted clusterer was called on.

    Parameters
    ----------
    params : mapping
        JSON-able parameters; ``params["kind"]`` says which model.
    arrays : mapping of str to array
    trust : bool, default=False
        Whether the pickle of a model of another library may be opened, which executes code.

    Raises
    ------
    RunError
        The kind is unknown, or only a pickle keeps the model and `trust` is false.
    """
    kind = params.get("kind")
    if kind == "hdbscan":
        from dtopics.clustering.hdbscan_model import HDBSCANModel

        return HDBSCANModel.from_arrays(params, arrays)
    if kind in ("centroids", "foreign"):
        from dtopics.clustering.wrapped import CentroidModel, ForeignModel

        if kind == "centroids":
            return CentroidModel.from_arrays(params, arrays)
        if trust:
            return ForeignModel.from_arrays(params, arrays)
        raise RunError(
            f"the clusterer {params.get('class')} is kept as a pickle, and opening a pickle "
            "executes code: load with trust=True if you trust who wrote the run"
        )
    raise RunError(
        f"unknown kind of clusterer {kind!r}: expected 'hdbscan', 'centroids' or 'foreign'; "
        "was the run written by a newer dtopics?"
    )
