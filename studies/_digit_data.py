"""Handwritten digits: scikit-learn's 8x8 set, or MNIST from its four IDX files in a folder that the user names."""

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physnet.errors import PhysnetError

MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class Digits:
    """Images as rows of grey levels (bytes) up to `white`, and their labels 0 to 9, split for training and testing."""

    name: str
    white: int
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load(folder: Path | None, seed: int) -> Digits:
    """MNIST from `folder` (or PHYSNET_DATA), in its canonical split; without a folder the 8x8 digits.

    The 1,797 8x8 digits (UCI Optical Recognition of Handwritten Digits, as installed with scikit-learn) are split
    80/20, stratified, by `seed`. Raises PhysnetError for a folder without the files or a file that is damaged.
    """
    folder = folder or os.environ.get("PHYSNET_DATA") or None
    return _mnist(Path(folder)) if folder else small_digits(seed)


def small_digits(seed: int) -> Digits:
    """The 8x8 digits of scikit-learn, grey values 0 to 16 in bytes, split 80 to 20 by the seed in every class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.uint8)
    train, test, *answers = train_test_split(images, labels, test_size=0.2, random_state=seed, stratify=labels)
    return Digits("digits 8x8", 16, train, answers[0], test, answers[1])


def _mnist(folder: Path) -> Digits:
    nested = folder / "mnist"
    home = nested if nested.is_dir() else folder
    missing = [name for name in MNIST_FILES if not (home / name).is_file()]
    if missing:
        raise PhysnetError(
            f"data folder {folder}: {', '.join(missing)} not found in {home}. Fetch the four gzipped IDX files of "
            f"MNIST and put them into {nested}, or leave --data out to use the 8x8 digits of scikit-learn."
        )
    train_images, train_labels, test_images, test_labels = (read_idx(home / name) for name in MNIST_FILES)
    for images, labels, which in ((train_images, train_labels, "train"), (test_images, test_labels, "t10k")):
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise PhysnetError(
                f"{home}: the {which} files do not fit together: images of shape {images.shape}, labels of shape "
                f"{labels.shape}. Fetch them again."
            )
        if labels.max(initial=0) > 9:
            raise PhysnetError(f"{home}: the {which} labels reach {labels.max()}; digits are 0 to 9. Fetch them again.")
    train, test = (images.reshape(len(images), -1) for images in (train_images, test_images))
    return Digits("MNIST", 255, train, train_labels, test, test_labels)


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in a gzipped IDX file. Raises PhysnetError for a truncated or corrupt one."""
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise PhysnetError(
            f"{path}: not a whole gzip file ({error}). It is truncated or corrupt; fetch it again."
        ) from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise PhysnetError(
            f"{path}: not an IDX file of bytes (magic {content[:4].hex() or 'missing'}). Fetch it again."
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else None
    if shape is None or len(content) - header != int(np.prod(shape, dtype=np.int64)):
        raise PhysnetError(
            f"{path}: {len(content)} bytes do not hold an IDX array of shape {shape}. It is truncated or corrupt; "
            "fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
