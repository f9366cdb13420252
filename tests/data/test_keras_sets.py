"""The sets that Keras fetches: their parts, their words, and what is said without a network."""

import socket

import numpy as np
import pytest

from searchlab.data import SOURCES
from searchlab.errors import DataError

keras = pytest.importorskip("keras")


def read(name, **settings):
    source = SOURCES.get("keras_dataset")
    return source.load(source.Options(name=name, **settings), None)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "imdb", "reuters"])
def test_without_a_network_it_says_what_to_put_where(name, tmp_path, monkeypatch):
    from keras.src.backend import config

    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    with pytest.raises(DataError, match="could not be fetched") as caught:
        read(name)
    assert f"into {tmp_path}/datasets" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "first"), [("fashion_mnist", (28, 28), "trouser"), ("cifar10", (32, 32, 3), "automobile")]
)
def test_images_get_channels_names_and_folds(name, shape, first, monkeypatch):
    train = np.zeros((4, *shape), np.uint8), np.array([[1], [2], [3], [0]], np.uint8)
    test = np.ones((2, *shape), np.uint8), np.array([[9], [8]], np.uint8)
    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", lambda: (train, test))
    examples = read(name).examples
    assert examples.x.shape == (6, *shape, 1)[:4] and examples.y[0] == first
    assert examples.fold.tolist() == ["train"] * 4 + ["test"] * 2


def test_texts_are_padded_at_the_end_and_keep_their_last_words(monkeypatch):
    def load_data(num_words):
        assert num_words == 12
        ragged = np.array([[1, 4, 5], [1, 6, 7, 8, 9]], dtype=object)
        return (ragged, np.array([0, 1])), (ragged[::-1], np.array([1, 0]))

    monkeypatch.setattr(keras.datasets.imdb, "load_data", load_data)
    index = {f"word{k}": k for k in range(1, 50)}
    monkeypatch.setattr(keras.datasets.imdb, "get_word_index", lambda: index)
    found = read("imdb", num_words=12, max_length=4)
    assert found.examples.x.tolist() == [[1, 4, 5, 0], [6, 7, 8, 9], [6, 7, 8, 9], [1, 4, 5, 0]]
    assert found.examples.y.tolist() == ["negative", "positive", "positive", "negative"]
    assert found.vocabulary[:5] == ("<pad>", "<start>", "<other>", "<unused>", "word1") and len(found.vocabulary) == 12


@pytest.mark.network
def test_reuters_is_fetched():
    try:
        socket.create_connection(("storage.googleapis.com", 443), timeout=3).close()
    except OSError:
        pytest.skip("no network")
    assert read("reuters").examples.x.shape == (11228, 200)
