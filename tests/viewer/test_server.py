"""The page behind an address of this machine."""

import threading
import urllib.error
import urllib.request

import pytest

from simlayer.viewer import MotionError
from simlayer.viewer.server import PageServer


@pytest.fixture
def server():
    with PageServer("<title>motion ü</title>") as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_page_is_answered(server):
    with urllib.request.urlopen(server.address) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.read().decode() == "<title>motion ü</title>"


def test_nothing_else_is_answered(server):
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        urllib.request.urlopen(f"{server.address}etc/passwd")
    error.value.close()


def test_only_this_machine_is_answered(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_refused(port):
    with pytest.raises(MotionError, match=rf"port {port} cannot be used"):
        PageServer("", port)


def test_a_port_in_use_is_refused(server):
    with pytest.raises(MotionError, match=r"cannot be used .*in use.*leave --port out"):
        PageServer("", server.server_port)
