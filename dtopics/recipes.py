"""Which strategies the parameters of a model ask for, chosen and checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtopics.clustering import as_clusterer
from dtopics.corpus.preprocess import as_preprocessing
from dtopics.embedding import as_embedder
from dtopics.errors import SettingError
from dtopics.inputs import N_EXAMPLES, Recipe
from dtopics.reduction import UMAP, as_reducer
from dtopics.reduction.layout import EPOCHS
from dtopics.representation.ctfidf import as_ctfidf
from dtopics.representation.vectorizer import as_counting
from dtopics.steering import Known
from dtopics.topics.representing import as_representation, embeds, n_texts

#: Epochs are numbered with four digits.
MOST_EPOCHS = 9_999


def make_recipe(
    params: Mapping[str, Any], *, embedded: bool, targets: bool, listed: bool = False
) -> Recipe:
    """Choose the strategies that a model's parameters ask for.

    Parameters
    ----------
    params : mapping
        `TopicModel.get_params`.
    embedded : bool
        Whether embeddings are given.
    targets : bool
        Whether classes are given (``y``).
    listed : bool
        Whether the documents are a list, whose results are held in memory.

    Raises
    ------
    SettingError
        Where a parameter has a value that means nothing.
    """
    _check_numbers(params)
    if not isinstance(params["language"], str):
        message = f"language must be a name such as 'english', not {params['language']!r}"
        raise SettingError(message)
    seed = params["random_state"]
    min_topic_size = params["min_topic_size"]
    embedder = None
    if not embedded:
        language = params["language"]
        embedder = as_embedder(params["embedding_model"], language=language, random_state=seed)
    clusterer = as_clusterer(
        params["hdbscan_model"], min_topic_size=min_topic_size, random_state=seed
    )
    learns = clusterer is None or getattr(clusterer, "classifies", False)
    if learns and not targets:
        message = "a hdbscan_model that does not cluster needs the classes: fit(documents, y=…)"
        raise SettingError(message)
    known = known_topics(params)
    if known and targets:
        message = "classes (y) and seed or zero-shot topics are given: give one of them"
        raise SettingError(message)
    reducer = as_reducer(params["umap_model"], random_state=seed)
    models = as_representation(params["representation_model"])
    word_embedder = None
    if embedded and (known or embeds(models)):
        what = "seed_topic_list or zeroshot_topic_list" if known else "representation_model"
        if params["embedding_model"] is None:
            message = (
                f"{what} embeds words, and the documents' embeddings are given: give the "
                "embedding_model that made them"
            )
            raise SettingError(message)
        word_embedder = as_embedder(
            params["embedding_model"], language=params["language"], random_state=seed
        )
        if getattr(word_embedder, "needs_fit", False):
            message = f"{what} embeds words, for which the embedding_model would have to be fitted"
            raise SettingError(message)
    preprocessing = as_preprocessing(params["preprocess"])
    return Recipe(
        embedder=embedder,
        reducer=reducer,
        clusterer=clusterer,
        counting=as_counting(
            params["vectorizer_model"],
            n_gram_range=params["n_gram_range"],
            min_df_scope=params["min_df_scope"],
            preprocess=preprocessing.count,
        ),
        ctfidf=as_ctfidf(params["ctfidf_model"]),
        sample_size=params["sample_size"],
        random_state=0 if seed is None else seed,
        top_n_words=params["top_n_words"],
        refine=refining_epochs(params["refine"], reducer, targets=targets or bool(known.seeds)),
        nr_topics=params["nr_topics"],
        memberships=membership_form(params["calculate_probabilities"], listed=listed),
        representation=models,
        word_embedder=word_embedder,
        n_examples=max(N_EXAMPLES, n_texts(models)),
        known=known,
        preprocessing=preprocessing,
    )


def known_topics(params: Mapping[str, Any]) -> Known:
    """Return the topics that a user knows beforehand.

    Raises
    ------
    SettingError
        Where seed topics are no lists of words, or names no texts of their own.
    """
    seeds, names = params["seed_topic_list"], params["zeroshot_topic_list"]
    if seeds is not None and not (
        _is_listed(seeds) and all(_is_listed(words) and _are_texts(words) for words in seeds)
    ):
        message = f"seed_topic_list must be a list of lists of words, not {seeds!r}"
        raise SettingError(message)
    if names is not None and not (
        _is_listed(names) and _are_texts(names) and len(set(names)) == len(names)
    ):
        message = f"zeroshot_topic_list must be a list of different names, not {names!r}"
        raise SettingError(message)
    least = params["zeroshot_min_similarity"]
    if isinstance(least, bool) or not isinstance(least, int | float) or not -1 <= least <= 1:
        message = f"zeroshot_min_similarity must be a cosine, from -1 to 1, not {least!r}"
        raise SettingError(message)
    return Known(tuple(map(tuple, seeds or ())), tuple(names or ()), float(least))


def _is_listed(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)


def refining_epochs(wanted: Any, reducer: Any, *, targets: bool) -> int:
    """Return the epochs that ``refine`` asks for; 0 for none.

    Raises
    ------
    SettingError
    """
    if wanted is None:
        n_epochs = EPOCHS if isinstance(reducer, UMAP) and not targets else 0
    elif isinstance(wanted, bool):
        n_epochs = EPOCHS if wanted else 0
    elif isinstance(wanted, int) and 0 <= wanted <= MOST_EPOCHS:
        n_epochs = wanted
    else:
        message = (
            f"refine must be a bool or a number of epochs up to {MOST_EPOCHS:,}, not {wanted!r}"
        )
        raise SettingError(message)
    if n_epochs and not isinstance(reducer, UMAP):
        message = f"refine moves documents by UMAP's forces; a {type(reducer).__name__} has none"
        raise SettingError(message)
    if n_epochs and targets:
        message = "refine knows nothing of classes (y), and would undo what they did; leave it out"
        raise SettingError(message)
    return n_epochs


def membership_form(wanted: Any, *, listed: bool) -> str | None:
    """Return the form of memberships that ``calculate_probabilities`` asks for.

    Raises
    ------
    SettingError
    """
    if wanted is False:
        return None
    if wanted is True:
        return "held" if listed else "sparse"
    if isinstance(wanted, str) and wanted in ("dense", "sparse"):
        return "held" if listed and wanted == "dense" else wanted
    message = f"calculate_probabilities must be a bool, 'dense' or 'sparse', not {wanted!r}"
    raise SettingError(message)


def _check_numbers(params: Mapping[str, Any]) -> None:
    for name, least in (("min_topic_size", 2), ("top_n_words", 1), ("sample_size", 10)):
        value = params[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            message = f"{name} must be an integer of at least {least}, not {value!r}"
            raise SettingError(message)
    nr_topics = params["nr_topics"]
    number = isinstance(nr_topics, int) and not isinstance(nr_topics, bool) and nr_topics >= 1
    if not (nr_topics is None or number or (isinstance(nr_topics, str) and nr_topics == "auto")):
        message = f"nr_topics must be None, 'auto' or a positive integer, not {nr_topics!r}"
        raise SettingError(message)
    block_size = params["block_size"]
    if block_size is not None and (not isinstance(block_size, int) or block_size < 1):
        message = f"block_size must be a positive integer or None, not {block_size!r}"
        raise SettingError(message)
    seed = params["random_state"]
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**32):
        message = f"random_state must be None or an integer from 0 to 2**32 - 1, not {seed!r}"
        raise SettingError(message)
