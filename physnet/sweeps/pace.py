"""How many points go into one part: as many as take a few seconds, within bounds on memory."""

from physnet.sweeps.rows import Rows

_SECONDS = 4.0  # that a part should take: little is lost when a job is killed, and writing is a small share
_BYTES = 2**25  # of a part's numbers
_MOST = 8192


class Pace:
    """chunk: points per part, where the user says so. lanes: points that are run at a time."""

    def __init__(self, chunk: int | None, lanes: int = 1):
        self._chunk, self._lanes = chunk, lanes
        self._size, self._calls, self._bytes = lanes, 0, 0

    def size(self, left: int, workers: int) -> int:
        """Points of the next part, of `left` that are to do by so many workers."""
        if self._chunk is not None:
            return self._chunk
        share = -(-left // (2 * workers)) if workers > 1 else left  # so that all end at about the same time
        whole = self._lanes * -(-min(self._size, share) // self._lanes)
        return max(whole, 1)

    def took(self, rows: Rows) -> None:
        """Learns from a part. The first is not believed: what it does is compiled in it."""
        self._calls += 1
        self._bytes = max(self._bytes, rows.nbytes / rows.size)
        if self._calls == 1 or rows.size < self._size / 2:
            return
        wanted = rows.size * _SECONDS / max(rows.seconds, 1e-9)
        most = min(_MOST, _BYTES / self._bytes if self._bytes else _MOST)
        self._size = max(int(min(wanted, 8 * self._size, most)), 1)
