"""A Redis server that tests start for themselves, and end."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

# Seconds a server may take to answer; it takes 0.1.
_PATIENCE = 10


class Server:
    """A running `redis-server`, at a free port and at a socket."""

    def __init__(self, folder: Path, *options: str):
        self.folder = folder
        self.options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # A socket's path may have a hundred letters; pytest's folders have more.
        self._near = tempfile.mkdtemp(prefix="redis", dir="/tmp")
        self.socket = f"{self._near}/socket"
        self.start()

    def start(self):
        settings = {
            **{"port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket},
            **{"dir": self.folder, "save": "", "appendonly": "no"},
        }
        options = [str(x) for name, x in settings.items() for x in (f"--{name}", x)]
        self._process = subprocess.Popen(
            ["redis-server", *options, *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        at_once, end = Retry(NoBackoff(), 0), time.monotonic() + _PATIENCE
        with redis.Redis(unix_socket_path=self.socket, retry=at_once) as client:
            while True:
                try:
                    client.ping()
                    return
                except (redis.ResponseError, redis.AuthenticationError):
                    return  # it is there and asks for a password
                except redis.RedisError:
                    if time.monotonic() > end or self._process.poll() is not None:
                        pytest.skip("redis-server is installed and does not start")
                    time.sleep(0.02)

    def stop(self):
        """Ends it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self._near)


@contextlib.contextmanager
def started(folder, *options):
    """A `Server` that keeps its files in this folder; skips where none can start."""
    pytest.importorskip("redis", reason="the package redis is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip(
            "no redis-server: `apt-get install redis-server` starts these tests"
        )
    server = Server(folder, *options)
    try:
        yield server
    finally:
        server.close()
