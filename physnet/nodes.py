"""The parts of an HDF5 file that HDF5 has no checksum for: which chunk belongs where, and its heaps of text.

One changed bit there can give other text, move a chunk, or make HDF5 crash or never return. They are a few kilobytes,
so that a file of any size can be checked there before HDF5 opens it.
"""

import struct
from pathlib import Path

import numpy as np

# How each begins: a B-tree (version 1) of chunks, and a global heap, each with its version or type.
_TREE, _HEAP = b"TREE\x01", b"GCOL\x01\x00\x00\x00"
_TREE_SIZE = 8192  # bytes: more than a node takes at any number of dims up to 13
_HEAP_SIZE = 2**24  # bytes of a heap that are looked at; HDF5 makes them of 4 KiB, or as large as one text in it


def end_of_hdf5(head: bytes) -> int | None:
    """Where HDF5 says that its part of a file ends, from the first 36 bytes; None unless netCDF-4 wrote it."""
    if len(head) < 36 or head[:4] != b"\x89HDF" or head[8] not in (2, 3) or head[9] != 8:  # superblock, offset size
        return None
    return struct.unpack_from("<Q", head, 28)[0]


class NodeSearch:
    """Finds the nodes of a file that goes by block by block."""

    def __init__(self):
        self._found, self._read, self._rest = [], 0, b""

    def add(self, block: bytes) -> None:
        """The next bytes of the file."""
        data = self._rest + block
        for start in range(4):  # at any of the four alignments; far faster than bytes.find
            words = np.frombuffer(data, "<u4", max(0, (len(data) - start) // 4), start) if len(data) >= 4 else ()
            for name in (_TREE, _HEAP):
                hits = np.flatnonzero(words == np.frombuffer(name[:4], "<u4")[0]) if len(words) else ()
                self._found += [self._read - len(self._rest) + start + 4 * int(hit) for hit in hits]
        self._read += len(block)
        self._rest = data[-3:]

    def nodes(self, path: Path) -> list[tuple[int, int]]:
        """(where it begins, its length in bytes) of every node, after the whole file at `path` has gone by."""
        nodes = []
        with path.open("rb") as file:
            for start in sorted(set(self._found)):
                file.seek(start)
                head = file.read(16)
                if head.startswith(_TREE):
                    nodes.append((start, _TREE_SIZE))
                elif head.startswith(_HEAP) and len(head) == 16:
                    nodes.append((start, min(struct.unpack("<Q", head[8:])[0], _HEAP_SIZE)))
        return [(start, min(size, self._read - start)) for start, size in nodes]
