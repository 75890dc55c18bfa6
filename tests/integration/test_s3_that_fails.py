"""A real S3 protocol that is busy, slow, loses answers, or takes credentials for expired."""

import sys

import pytest
from stores import faulty_s3

from dtopics import TopicModel
from dtopics.errors import RunAccessError
from dtopics.store import Location, patience
from dtopics.testing import made_up

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SETTINGS = {"min_topic_size": 10, "sample_size": 200, "block_size": 200, "refine": False}


@pytest.fixture(scope="module")
def bucket():
    with faulty_s3() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch, bucket):
    monkeypatch.setattr(patience, "WAITS_S", (0.05, 0.1, 0.2, 0.4))
    yield
    bucket[2].kinds = ()


def struck(app, kinds, every=1, methods=("GET", "PUT", "POST", "HEAD")):
    app.kinds, app.every, app.methods, app.seen, app.struck = kinds, every, methods, 0, 0


@pytest.mark.parametrize("kind", ["busy", "internal", "lost"])
def test_what_fails_now_and_then_is_asked_again(bucket, kind):
    url, options, app = bucket
    place = Location(url, options) / f"now and then {kind}"
    struck(app, (kind,), every=2)
    for i in range(6):
        (place / str(i)).create(b"%d" % i)  # whose answer was lost, cannot know that it was first
        assert (place / str(i)).read() == b"%d" % i
    assert app.struck >= 6
    assert place.names() == list("012345")


@pytest.mark.parametrize("kind", ["expired", "denied"])
def test_credentials_that_are_not_valid_are_said_at_once(bucket, kind):
    url, options, app = bucket
    place = Location(url, options) / "x"
    struck(app, (kind,))
    for operation in (place.read, lambda: place.create(b"x"), place.names):
        with pytest.raises(RunAccessError, match="run the same command again") as raised:
            operation()
        assert "hunter2" not in str(raised.value)
    assert app.struck <= 6


@pytest.mark.slow
def test_a_fit_on_a_store_that_fails(bucket):
    url, options, app = bucket
    corpus = made_up(400, 4, outliers=0.0, random_state=5)
    expected = TopicModel(run="memory://undisturbed", **SETTINGS)
    topics, _ = expected.fit_transform(corpus.texts, corpus.embeddings)
    model = TopicModel(run=f"{url}/run", storage_options=options, **SETTINGS)
    struck(app, ("expired",), every=150)
    with pytest.raises(RunAccessError, match="run the same command again"):
        model.fit(corpus.texts, corpus.embeddings)
    struck(app, ("busy", "lost", "internal", "slow"), every=15)
    found, _ = model.fit_transform(corpus.texts, corpus.embeddings)
    assert app.struck > 10
    assert found == topics
    assert model.get_topics() == expected.get_topics()


ISSUE = """
import datetime, json, pathlib, sys
with pathlib.Path(sys.argv[1]).open("a") as issued:
    issued.write("x")
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
print(json.dumps({"Version": 1, "AccessKeyId": "k", "SecretAccessKey": "hunter2",
                  "SessionToken": "t", "Expiration": until.isoformat()}))
"""


def test_credentials_that_expire_soon_are_fetched_again(bucket, tmp_path, monkeypatch):
    url, options, _ = bucket
    issued = tmp_path / "issued"
    (tmp_path / "issue.py").write_text(ISSUE)
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {tmp_path}/issue.py {issued}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    place = Location(f"{url}/expiring", {"client_kwargs": options["client_kwargs"]})
    for i in range(3):
        (place / str(i)).write(b"x")
    assert len(issued.read_text()) >= 3
