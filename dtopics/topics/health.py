"""What a person should be told about their topics."""

from __future__ import annotations

from collections.abc import Sequence

from dtopics.data import OUTLIER
from dtopics.topics.topics import Topics

#: Shares above which a result is degenerate: of one topic, and of outliers.
GIANT_SHARE = 0.5
OUTLIER_SHARE = 0.6
FEW_TOPICS = 3
#: Below this many documents, few topics are what one expects.
SMALL_CORPUS = 500


def diagnose(
    topics: Topics,
    *,
    min_topic_size: int,
    far_share: float = 0.0,
    gave_way: float = 0.0,
    refinable: bool = False,
    unused: Sequence[str] = (),
) -> list[str]:
    """Return a sentence for each thing that looks wrong, naming the setting that changes it.

    Parameters
    ----------
    topics : Topics
    min_topic_size : int
        What the fit was told.
    far_share : float
        Share of the documents that lie further from the sample than its own do from each other.
    gave_way : float
        Share of the documents of a cluster that was divided because it was too large.
    refinable : bool
        Whether documents outside a sample were placed by UMAP and not moved since.
    unused : sequence of str
        Names of zero-shot topics that no document has.
    """
    n = topics.n_documents
    said = []
    if topics.n_topics == 0:
        said.append(
            f"all {n:,} documents are outliers: no group of at least {min_topic_size} stands out; "
            "lower min_topic_size, or give more documents"
        )
    elif topics.n_topics < FEW_TOPICS and n >= SMALL_CORPUS:
        said.append(
            f"only {topics.n_topics} topics for {n:,} documents; lower min_topic_size (now "
            f'{min_topic_size}) or use hdbscan_model=HDBSCAN(cluster_selection_method="leaf")'
        )
    largest = max((t for t in topics.ids if t != OUTLIER), key=topics.sizes.__getitem__, default=-1)
    if topics.n_topics > 1 and topics.sizes[largest] > GIANT_SHARE * n:
        said.append(
            f"topic {largest} holds {topics.sizes[largest] / n:.0%} of the documents; lower "
            'HDBSCAN\'s max_cluster_size, use cluster_selection_method="leaf", or another '
            "random_state"
        )
    if topics.n_topics and topics.n_outliers > OUTLIER_SHARE * n:
        refine = "leave refine on, " if refinable else ""
        said.append(
            f"{topics.n_outliers / n:.0%} of the documents are outliers; {refine}lower HDBSCAN's "
            "min_samples, raise UMAP's n_neighbors, or use a clusterer without outliers such as "
            "KMeans"
        )
    if gave_way:
        said.append(
            f"a cluster of {gave_way:.0%} of the documents gave way to the clusters within it; "
            "HDBSCAN's max_cluster_size=0 would keep it"
        )
    if far_share > 0.1:
        said.append(
            f"{far_share:.0%} of the documents lie further from the sample than its own documents "
            f"from each other; {'leave refine on, or ' if refinable else ''}raise sample_size"
        )
    if unused:
        said.append(
            f"no document is alike enough to {', '.join(map(repr, unused))}; lower "
            "zeroshot_min_similarity, or say it in other words"
        )
    return said
