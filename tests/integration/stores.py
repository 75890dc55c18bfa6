"""Object stores on this machine: servers that are started, used and stopped."""

import contextlib
import http.server
import shutil
import socket
import subprocess
import threading
import time
from http import HTTPStatus

import pytest

#: What Azurite is told by its documentation to be reached with; it is no secret.
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(port, process=None):
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.1)
    raise TimeoutError(f"no server answers on port {port}")


ERRORS = {
    "busy": ("503 Slow Down", "SlowDown"),
    "internal": ("500 Internal Server Error", "InternalError"),
    "expired": ("400 Bad Request", "ExpiredToken"),
    "denied": ("403 Forbidden", "AccessDenied"),
}


class Faulty:
    """An S3 that answers some requests with an error, or not at all, though it did what was asked.

    `kinds` are taken in turns, for every `every`-th request of the methods in `methods`.
    """

    def __init__(self, app):
        self.app, self.seen, self.struck = app, 0, 0
        self.kinds, self.every, self.methods = (), 1, ("GET", "PUT", "POST", "HEAD")

    def __call__(self, environ, start_response):
        kind = None
        if self.kinds and environ["REQUEST_METHOD"] in self.methods:
            self.seen += 1
            if self.seen % self.every == 0:
                kind = self.kinds[self.struck % len(self.kinds)]
                self.struck += 1
        if kind in ERRORS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status, code = ERRORS[kind]
            body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            start_response(status, [("Content-Type", "application/xml"),
                                    ("Content-Length", str(len(body)))])  # fmt: skip
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        answer = self.app(environ, start_response)
        if kind == "lost":
            list(answer)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if kind == "slow":
            time.sleep(2)
        return answer


@contextlib.contextmanager
def faulty_s3():
    """Give a bucket's URL, what fsspec needs to open it, and what makes it fail."""
    import s3fs
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    options = {"key": "k", "secret": "hunter2", "client_kwargs": {
        "endpoint_url": f"http://127.0.0.1:{server.port}", "region_name": "us-east-1"}}  # fmt: skip
    s3fs.S3FileSystem(**options).call_s3("create_bucket", Bucket="bucket")
    try:
        yield "s3://bucket", options, app
    finally:
        app.kinds = ()
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def s3(folder):
    """Give a bucket's URL and what fsspec needs to open it: moto, which does not fail."""
    with faulty_s3() as (url, options, _):
        yield url, options


@contextlib.contextmanager
def azure(folder):
    """Give a container of Azurite, which npm installs where it is not on the path."""
    import adlfs

    port = free_port()
    command = shutil.which("azurite-blob")
    if command is None:
        if shutil.which("npm") is None:
            pytest.skip("needs azurite-blob, or npm to install it")
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "azurite@3"]
        done = subprocess.run(install, check=False, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"azurite could not be installed: {done.stderr[-500:]}")
        command = folder / "node_modules" / ".bin" / "azurite-blob"
    process = subprocess.Popen([
        command, "--silent", "--skipApiVersionCheck", "--blobHost", "127.0.0.1",
        "--blobPort", str(port), "--location", folder,
    ])  # fmt: skip
    account = "devstoreaccount1"
    options = {"account_name": account, "connection_string": (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
    )}  # fmt: skip
    try:
        wait_for(port, process)
        adlfs.AzureBlobFileSystem(**options).mkdir("bucket")
        yield "az://bucket", options
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def google(folder):
    """Give a bucket of an emulator that is taught the one condition that dtopics asks for."""
    from gcp_storage_emulator import server as emulator
    from gcp_storage_emulator.exceptions import NotFound
    from gcp_storage_emulator.handlers import objects

    one_at_a_time = threading.Lock()

    def insert(request, response, storage, *args, **kwargs):
        # as Google: a generation of 0 means that there must be none
        if request.query.get("ifGenerationMatch") != ["0"]:
            return objects.insert(request, response, storage, *args, **kwargs)
        named = request.query.get("name")
        name = named[0] if named else request.data["meta"]["name"]
        with one_at_a_time:
            with contextlib.suppress(NotFound):
                storage.get_file_obj(request.params["bucket_name"], name)
                response.status = HTTPStatus.PRECONDITION_FAILED
                response.json({"error": {"code": 412, "message": "conditionNotMet"}})
                return None
            return objects.insert(request, response, storage, *args, **kwargs)

    handlers = tuple(
        (
            pattern,
            {verb: insert if does is objects.insert else does for verb, does in verbs.items()},
        )
        for pattern, verbs in emulator.HANDLERS
    )
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "HANDLERS", handlers)
        patch.setattr(http.server, "HTTPServer", http.server.ThreadingHTTPServer)
        server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
        server.start()
        try:
            wait_for(port)
            yield "gs://bucket", {
                "endpoint_url": f"http://127.0.0.1:{port}", "token": "anon", "project": "test",
            }  # fmt: skip
        finally:
            server.stop()


STORES = {"s3": s3, "azure": azure, "google": google}
