"""Downloads: they go on where they broke off, and only what has the right checksum is kept."""

import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import common
import pooch
import pytest
from common import Archive, Options


@pytest.fixture
def server():
    """A web server of one file that can break off (`cut`) and refuse ranges; it keeps the ranges asked for."""

    class Handler(BaseHTTPRequestHandler):
        content, cut, ranges, asked = os.urandom(200_000), None, True, []

        def do_GET(self):
            asked = self.headers.get("Range")
            Handler.asked.append(asked)
            assert self.headers["Accept-Encoding"] == "identity"  # else the test gets no answer
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and Handler.ranges else 0
            if start >= len(self.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(self.content) - start))
            self.end_headers()
            self.wfile.write(self.content[start : Handler.cut])

        def log_message(self, *words):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.url = f"http://127.0.0.1:{listening.server_port}/file"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield Handler
    listening.shutdown()
    listening.server_close()


def download(server, folder, md5=None):
    return common.fetch([Archive("set.zip", "200 kB", server.url, md5=md5)], Options(folder, archives=folder))[0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_was_interrupted(server, tmp_path, ranges):
    server.cut, server.ranges = 150_000, ranges
    with pytest.raises(OSError, match="(?i)incomplete"):
        download(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip.part"]
    arrived = len((tmp_path / "set.zip.part").read_bytes())
    assert arrived >= 100_000 and (tmp_path / "set.zip.part").read_bytes() == server.content[:arrived]
    server.cut = None
    md5 = hashlib.md5(server.content).hexdigest()
    assert download(server, tmp_path, md5).read_bytes() == server.content
    assert server.asked == [None, f"bytes={arrived}-"], "a server without ranges sends it all again"
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]
    download(server, tmp_path, md5)
    assert len(server.asked) == 2, "what is there is not fetched again"


def test_a_download_that_was_whole_but_not_renamed(server, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(server.content)
    assert download(server, tmp_path).read_bytes() == server.content


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    with pytest.raises(ValueError, match="does not match the known hash"):
        download(server, tmp_path, md5="0" * 32)
    assert not list(tmp_path.iterdir())
    path = tmp_path / "set.zip"
    path.write_bytes(b"something else")
    found = pooch.file_hash(path, "md5")
    with pytest.raises(ValueError, match=f"{path} has the MD5 checksum {found}, not 00000.*delete it"):
        download(server, tmp_path, md5="0" * 32)


def test_all_archives_that_need_a_login_are_listed(tmp_path):
    archives = [Archive(f"{name}.zip", "1 GB", source=f"{name}.org/get") for name in "abc"]
    (tmp_path / "b.zip").touch()
    with pytest.raises(FileNotFoundError) as error:
        common.fetch(archives, Options(tmp_path, archives=tmp_path))
    assert re.findall(r"(\w)\.zip \(1 GB\) from \1\.org/get", str(error.value)) == ["a", "c"]
    assert str(tmp_path) in str(error.value)
