"""What a store is asked: a constant few objects per block, for every stage."""

import re
from collections import Counter

from dtopics import Corpus, TopicModel
from dtopics.testing import HashingEmbedder, made_up
from dtopics.testing.failing import Failures

#: What is asked of a stage's own objects for each block of the plan, by all that read it; labels
#: are read by four stages. As measured, and one more.
MOST, MOST_IN_ALL = 24, 85


def asked(tmp_path, n_blocks, client):
    """How often each stage's objects were asked for in a fit of so many blocks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / str(n_blocks)
    folder.mkdir()
    made = made_up(100 * n_blocks, 5, random_state=8)
    pq.write_table(pa.table({"text": made.texts}), folder / "x.parquet", row_group_size=100)
    failures = Failures(folder / "failures")
    failures.set([])
    model = TopicModel(
        embedding_model=HashingEmbedder(), run=f"failing://{folder}/run", min_topic_size=15,
        storage_options=failures.storage_options, sample_size=200, block_size=100, refine=False,
    )  # fmt: skip
    model.fit(Corpus(str(folder / "x.parquet"), text_column="text"), client=client)
    counts = Counter()
    for (_, path), count in failures.requests().items():
        found = re.search(r"/stages/([^/]+)/", path)
        counts[found[1] if found else "others"] += count
    return counts


def test_a_stage_asks_for_a_constant_few(tmp_path, client):
    few, many = asked(tmp_path, 8, client), asked(tmp_path, 24, client)
    assert few.keys() == many.keys()
    per_block = {name: (many[name] - few[name]) / 16 for name in many}
    assert max(per_block.values()) <= MOST, per_block
    assert sum(per_block.values()) <= MOST_IN_ALL, per_block
