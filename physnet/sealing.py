"""The last lines of a result file, its seal: SHA-256 of what stands before them, so that no damage passes for data.

HDF5 checks numbers chunk by chunk, but neither which chunk belongs where nor text, and it can crash on a damaged file.
The seal tells before HDF5 sees a byte. It lies behind the end of the HDF5 file, where every reader ignores it and
every program that changes the file drops it: a copy edited elsewhere is unsealed, not "damaged". The content can be
checked without physnet: head -c SIZE FILE | sha256sum.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from physnet import slabs
from physnet.errors import PhysnetError
from physnet.nodes import NodeSearch, end_of_hdf5
from physnet.schema import is_text

_NODES = "\n# physnet nodes (start+length):"
_SEAL = "\n# physnet seal: SHA-256 {} of the first {} bytes, {} of the nodes, {} of text and single numbers\n"
_SUM = "([0-9a-f]{64})"
_PATTERN = re.compile(_SEAL.format(_SUM, r"(\d{1,19})", _SUM, _SUM).encode() + rb"\Z")
_LONGEST = len(_SEAL) + 3 * 64 + 19
_BLOCK = 2**20  # bytes read at a time


@dataclass(frozen=True)
class Seal:
    """What the end of a file says: the SHA-256 of the `size` bytes before it, of the nodes among them (their places in
    `places`, see physnet.nodes), and of text and single numbers.
    """

    path: Path
    size: int
    content: str
    places: bytes
    nodes: str
    loose: str

    def check_content(self) -> None:
        """Reads the whole file. Raises PhysnetError when a byte differs from what was written."""
        if _content_sha256(self.path, self.size) != self.content:
            raise damaged(self.path, "its content is not what was written: the SHA-256 at its end differs")

    def check_nodes(self) -> None:
        """Reads what HDF5 does not check itself. Raises PhysnetError when it differs from what was written."""
        if _nodes_sha256(self.path, self.places) != self.nodes:
            raise damaged(self.path, "its text or its index of chunks is not what was written")

    def check_loose(self, ds) -> None:
        """Raises PhysnetError when text or a single number in the open file differs from what was written."""
        if loose_sha256(ds) != self.loose:
            raise damaged(self.path, "its text or a single number is not what was written")


def write(path, loose: str) -> None:
    """Appends the seal to a netCDF-4 file that is complete; loose: `loose_sha256` of what it holds."""
    path = Path(path)
    size, search = path.stat().st_size, NodeSearch()
    content = _content_sha256(path, size, search.add)
    places = "".join(f" {start}+{length}" for start, length in search.nodes(path)).encode()
    seal = _SEAL.format(content, size, _nodes_sha256(path, places), loose)
    with path.open("ab") as file:
        file.write(_NODES.encode() + places + seal.encode())


def find(path) -> Seal | None:
    """The seal of a file; None when it has none: an older file, or one that another program wrote or changed.

    Raises PhysnetError when the file is shorter than HDF5 says, or what follows its HDF5 part is no whole seal.
    """
    path = Path(path)
    with path.open("rb") as file:
        end = end_of_hdf5(file.read(36))
        length = file.seek(0, 2)
        file.seek(max(0, length - _LONGEST))
        found = _PATTERN.search(file.read())
        if found:
            content, size, nodes, loose = (part.decode() for part in found.groups())
            first, last = int(size) + len(_NODES), length - len(found[0])
            if first > last:
                raise damaged(path, f"{size} bytes were written and {length} are there")
            file.seek(first)
            return Seal(path, int(size), content, file.read(last - first), nodes, loose)
    if end is not None and length != end:
        raise damaged(
            path,
            "the seal at its end is not whole" if length > end else f"{end} bytes were written and {length} are there",
        )
    return None


def loose_sha256(ds) -> str:
    """SHA-256 of what HDF5 stores outside of chunks, and so without checksums: text and single numbers, by name."""
    digest = hashlib.sha256()
    for name in sorted(ds.variables, key=str):
        variable = ds.variables[name]
        if is_text(variable):
            for index in slabs.slabs(variable):
                kept = [text.split("\0")[0] for text in slabs.values(variable, index).ravel().tolist()]  # as in C
                digest.update(json.dumps([str(name), kept]).encode())
        elif variable.ndim == 0 and variable.dtype.kind in "iuf":
            kind = f"{variable.dtype.kind}{variable.dtype.itemsize}"
            digest.update(json.dumps([str(name), kind, repr(variable.values.item())]).encode())
    return digest.hexdigest()


def damaged(path, reason) -> PhysnetError:
    """The error of a file whose bytes are not those that were written."""
    return PhysnetError(f"{path} is truncated or damaged ({reason}). Copy it again, or run it again")


def _content_sha256(path, size, also=None) -> str:
    """SHA-256 of the first `size` bytes; `also` is called with each block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(_BLOCK, size))):
            digest.update(block)
            if also is not None:
                also(block)
            size -= len(block)
    return digest.hexdigest()


def _nodes_sha256(path, places: bytes) -> str:
    """SHA-256 of the places and of the bytes there."""
    digest = hashlib.sha256(places)
    with path.open("rb") as file:
        for start, length in re.findall(rb"(\d{1,18})\+(\d{1,18})", places):
            file.seek(int(start))
            digest.update(file.read(min(int(length), 2**24)))
    return digest.hexdigest()
