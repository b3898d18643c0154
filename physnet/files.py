"""Files that are whole or not there, and one writer at a time: what survives a killed job and a full disk.

A run that writes to a target holds `sole_writer(target)`, and every write of it goes through `atomic(target)`.
"""

import contextlib
import errno
import os
import re
import secrets
import socket
import warnings
from datetime import datetime
from pathlib import Path

from physnet.errors import PhysnetError

_RANDOM = r"[0-9a-f]{12}"
_LONGEST = 200  # bytes of a target's name that its temporaries bear: file systems end at 255
_PROBE = 16  # MiB: more than HDF5 writes at a time
_FIXES = {
    errno.ENOSPC: "Free some space, or choose another path",
    errno.EDQUOT: "Free some space, or choose another path",
    errno.EFBIG: "Choose a disk that allows larger files",
    errno.EROFS: "Choose another path",
    errno.EACCES: "Choose another path, or ask for the right to write there",
    errno.EPERM: "Choose another path, or ask for the right to write there",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


@contextlib.contextmanager
def atomic(path):
    """A temporary path beside `path`; when the block ends, what was written there is what `path` holds.

    The block creates the temporary file. On success it is on disk before it bears the target's name, so that a reader
    finds the old content or the new one, whole, after a crash as well. When the block raises, or is interrupted, the
    temporary is removed and the target is as it was. A link is followed: what it points to is replaced.
    A killed process leaves the temporary, `.NAME.RANDOM.tmp`, which the next `sole_writer` of the target removes.

    Raises PhysnetError, naming the path and the fix, when the folder is missing or cannot be written to, or the disk
    is full, whatever a library made of that. Other errors of the block pass through.
    """
    path = Path(path)
    target = _target(path)
    temporary = target.with_name(f"{_stem(target)}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except PhysnetError:
        raise
    except Exception as error:
        reason = _reason(error, temporary)
        if reason is None:
            raise
        raise _refusal(path, reason) from error
    finally:
        with contextlib.suppress(OSError):
            # Emptied first: HDF5 never closes a file that it failed to write, and its blocks would stay taken.
            os.truncate(temporary, 0)
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def sole_writer(path):
    """Holds `path`, a file or folder that need not exist yet, for this run alone while the block lasts.

    The lock is the operating system's on `.NAME.lock` beside the target: it goes when its process does, killed or not.
    The file itself is removed at the end; a killed run leaves it, and the next holder takes it over. The holder also
    removes the temporaries of `atomic` that a killed writer left: those of the file, or those in the folder, which
    is therefore to be the run's own. Where the file system has no locks a warning says so and the block runs.

    Raises PhysnetError at once when another run holds the target, with its process and since when, and when no lock
    can be made because the folder is missing or cannot be written to.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    target = _target(path)
    if not target.parent.is_dir():  # filelock would make it
        raise _refusal(path, FileNotFoundError())
    note = target.with_name(f"{_stem(target)}.lock")
    lock = FileLock(note, blocking=False, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise PhysnetError(
            f"{path} is being written by {_holder(note)}. Wait until it ends, stop it, or choose another path"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP):
            raise _refusal(path, error) from error
        warnings.warn(f"{path}: this file system has no locks. Start no second run that writes there", stacklevel=3)
    try:
        for leftover in leftovers(path):
            with contextlib.suppress(OSError):  # another user's
                leftover.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a full disk; the lock holds without it
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            note.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}\n", encoding="utf-8")
        yield
    finally:
        # While it is held: filelock leaves the file, and sees when one it waited for has been removed.
        with contextlib.suppress(OSError):  # Windows removes no open file
            note.unlink(missing_ok=True)
        lock.release()


def leftovers(path) -> list[Path]:
    """The temporaries of `atomic` beside a file that bear its name, or all those in a folder; live ones included."""
    target = _target(path)
    folder, stem = (target, r"\..+") if target.is_dir() else (target.parent, re.escape(_stem(target)))
    pattern = re.compile(rf"{stem}\.{_RANDOM}\.tmp", re.DOTALL)
    return sorted(entry for entry in folder.iterdir() if pattern.fullmatch(entry.name))


def _target(path) -> Path:
    """The file itself, where `path` is a link: a link's lock and temporaries lie with what it points to."""
    return Path(os.path.realpath(path))


def _stem(target) -> str:
    return "." + os.fsencode(target.name)[:_LONGEST].decode("utf-8", "ignore")


def _holder(note) -> str:
    try:
        return note.read_text(encoding="utf-8").strip() or "another process"
    except (OSError, UnicodeError):
        return "another process"


def _reason(error, temporary) -> OSError | None:
    """The operating system's reason why `temporary` was not written, or None: it had none."""
    # Writing on tells: to HDF5 a full disk is an "HDF error", or a denied permission.
    try:
        with temporary.open("ab") as file:
            for _ in range(_PROBE):
                file.write(bytes(2**20))
    except OSError as found:
        return found
    return error if isinstance(error, OSError) and error.filename in (None, os.fspath(temporary)) else None


def _refusal(path, error) -> PhysnetError:
    if not _target(path).parent.is_dir():
        return PhysnetError(f"{path}: the folder {path.parent} does not exist. Create it, or choose another path")
    fix = _FIXES.get(error.errno, "Choose another path")
    return PhysnetError(f"{path} could not be written ({error.strerror or error}). Nothing was changed there. {fix}")


def _sync_folder(folder) -> None:
    """Puts a rename on disk; Windows and some network file systems cannot, and do it in their own time."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
