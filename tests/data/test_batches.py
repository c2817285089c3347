"""Batches of image files: read by several threads at once, and the same as one sample after the other."""

import threading
import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from lixlib import data
from lixlib.data import image_files
from lixlib.data.unlabelled import Part, Unlabelled, WithUnlabelled

FIELDS = ("rgb", "x", "valid", "label")


@pytest.fixture
def kitti(roots, monkeypatch):
    """A function that opens the split `train` as if torch had three threads and the memory had room for one image."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(image_files, "MEMORY", 1)
    return lambda: data.load("kitti", "train", root=roots["kitti"], size=(8, 16))


def assert_same(first, second):
    assert [sample.name for sample in first] == [sample.name for sample in second]
    assert all(torch.equal(getattr(a, f), getattr(b, f)) for a, b in zip(first, second, strict=True) for f in FIELDS)


def test_the_files_of_a_batch_are_read_at_once(kitti, monkeypatch):
    samples, order = kitti(), [2, 0, 1, 0]
    alone = [kitti()[index] for index in order]
    together, read = threading.Barrier(3, timeout=20), samples.read_label

    def waits_for_the_others(label):
        together.wait()
        return read(label)

    samples.read_label = waits_for_the_others
    filters = list(warnings.filters)
    assert_same(samples.__getitems__(order), alone)
    assert warnings.filters == filters
    assert list(samples._cache) == [2], "one image has room"


def test_one_thread_reads_one_file_after_the_other(kitti, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    samples, here = kitti(), threading.get_ident()
    read = samples.read_label
    samples.read_label = lambda label: read(label) if threading.get_ident() == here else pytest.fail("another thread")
    assert len(samples.__getitems__([0, 1])) == 2


def test_a_broken_file_of_a_batch_is_named(kitti, roots):
    samples = kitti()
    samples.items[1] = image_files.replace(samples.items[1], rgb=roots["kitti"] / "gone.png")
    with pytest.raises(FileNotFoundError, match=r"no image .*gone\.png"):
        samples.__getitems__([0, 1, 2])


def test_labelled_and_drawn_images_are_those_of_single_reads(kitti):
    train = kitti()
    joined = WithUnlabelled(Part(train, [2, 0]), Unlabelled(Part(train, [1, 2, 0])))
    order = [3, 0, 2, 1]
    torch.manual_seed(0)
    alone = [joined[index] for index in order]
    torch.manual_seed(0)
    assert_same(joined.__getitems__(order), alone)
    (batch,) = DataLoader(joined, batch_sampler=[order], collate_fn=data.collate)
    assert batch.name[1:4:2] == (train[2].name, train[0].name)
    assert (batch.label[0::2] == 255).all() and (batch.label[1] != 255).any()
