"""Formants of spoken vowels from the file of Hillenbrand et al. (1995), which the user names."""

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physnet.errors import PhysnetError

FILE = "hillenbrand1995.csv"
COLUMNS = ("ID", "F1", "F2")
FETCH = (
    "Fetch the vowel data of Hillenbrand, Getty, Clark and Wheeler, J. Acoust. Soc. Am. 97, 3099 (1995), "
    "doi:10.1121/1.411872, as comma-separated text with a header line and at least the columns ID (talker type m, w, b "
    "or g, talker number, vowel: w01aw), F1 and F2 (Hz, 0 where not measured), and name it with --data FILE, or put it "
    f"as vowels/{FILE} into a folder and name that with --data FOLDER or the environment variable PHYSNET_DATA."
)
_ID = re.compile(r"([mwbg])(\d\d)([a-z]{2})")


@dataclass(frozen=True)
class Vowels:
    """Vowels of the women talkers: formants (sample, 2) F1 and F2 in Hz, labels into `names`, talker numbers.

    unmeasured: how many samples were left out because F1 or F2 was not measured.
    """

    names: tuple[str, ...]
    formants: np.ndarray
    labels: np.ndarray
    talkers: np.ndarray
    unmeasured: int


def load(place: Path | None, names: tuple[str, ...]) -> Vowels:
    """The vowels called `names` from a file or folder, or from the folder PHYSNET_DATA.

    Raises PhysnetError, saying what to fetch and where it goes, without a file, and for one that does not hold them.
    """
    path = _find(place)
    wanted = {name: i for i, name in enumerate(names)}
    formants, labels, talkers, unmeasured = [], [], [], 0
    for line, row in _rows(path):
        code = _ID.fullmatch(row["ID"].strip())
        if code is None:
            raise PhysnetError(
                f"{path}, line {line}: ID is {row['ID']!r}; expected talker type, number and vowel: w01aw."
            )
        kind, talker, vowel = code.groups()
        if kind != "w" or vowel not in wanted:
            continue
        pair = [_formant(row[name], name, path, line) for name in COLUMNS[1:]]
        if 0 in pair:
            unmeasured += 1
            continue
        formants.append(pair)
        labels.append(wanted[vowel])
        talkers.append(int(talker))
    counts = np.bincount(np.array(labels, int), minlength=len(names))
    if not counts.all():
        missing = ", ".join(name for name, count in zip(names, counts) if not count)
        raise PhysnetError(
            f"{path}: no measured vowel {missing} of a woman talker (IDs such as w01{names[0]}). {FETCH}"
        )
    return Vowels(names, np.array(formants, float), np.array(labels), np.array(talkers), unmeasured)


def _find(place) -> Path:
    """The file that the user means. Raises PhysnetError where there is none."""
    named = place or os.environ.get("PHYSNET_DATA")
    if not named:
        raise PhysnetError(f"vowels: no data given. {FETCH}")
    named = Path(named).expanduser()
    for path in (named, named / "vowels" / FILE, named / FILE):
        if path.is_file():
            return path
    what = f"the folder {named} holds neither vowels/{FILE} nor {FILE}" if named.is_dir() else f"{named} does not exist"
    raise PhysnetError(f"vowels: {what}. {FETCH}")


def _rows(path):
    """(line number, row) of a file with a header. Raises PhysnetError for one that is not such a table."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise PhysnetError(f"{path}: no column {', '.join(missing)} in the header line. {FETCH}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PhysnetError(f"{path}: not comma-separated text that can be read ({error}). {FETCH}") from None
    for line, row in rows:
        short = [name for name in COLUMNS if row[name] is None]
        if short:
            raise PhysnetError(f"{path}, line {line}: no value of {', '.join(short)}. The file is damaged; {FETCH}")
    return rows


def _formant(text, name, path, line) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not (np.isfinite(value) and value >= 0):
        raise PhysnetError(
            f"{path}, line {line}: {name} is {text!r}; expected a number of Hz, 0 where it was not measured."
        )
    return value


def folds(data: Vowels, count: int, seed: int) -> np.ndarray:
    """The fold of each sample, 0 to count - 1: whole talkers, shuffled by `seed`, so that no voice is in two folds.

    Raises PhysnetError where there are fewer talkers than folds, or a vowel would be missing from a training set.
    """
    voices = np.unique(data.talkers)
    if len(voices) < count:
        raise PhysnetError(f"vowels: {len(voices)} talkers cannot make {count} folds; take fewer folds or more data.")
    order = np.random.default_rng(seed).permutation(len(voices))
    fold = np.empty(len(voices), int)
    fold[order] = np.arange(len(voices)) % count
    fold = fold[np.searchsorted(voices, data.talkers)]
    for k in range(count):
        left = np.bincount(data.labels[fold != k], minlength=len(data.names))
        if not left.all():
            raise PhysnetError(
                f"vowels: all samples of '{data.names[int(left.argmin())]}' come from talkers of one fold, so they "
                "cannot be learned from the others; take more data."
            )
    return fold
