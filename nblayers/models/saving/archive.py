"""Zip archives that somebody else may have made: each member once, in bounded memory, its checksum looked at."""
import zipfile
from typing import Any

_PACKED_MOST = 8 << 20                  # bytes that a compressed member may unpack to, where nobody says how large it must be
_READ_MOST = 1 << 20                    # bytes read at a time


class Archive:
    """The members of an open zip file.

    Raises:
        ValueError: two members of one name, a member that is encrypted or compressed in another way than zip's own.
    """

    def __init__(self, file: Any) -> None:
        self._zip = zipfile.ZipFile(file)
        self._members = {member.filename: member for member in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            raise ValueError("it has two members of one name")
        for name, member in self._members.items():
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"its member {name!r} is encrypted or compressed in an unknown way")

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """How many bytes a member is said to have, unpacked."""
        return self._member(name).file_size

    def begin(self, name: str, most: int) -> bytes:
        """The first bytes of a member; its checksum is not looked at yet."""
        with self._zip.open(self._member(name)) as file:
            return file.read(most)

    def read(self, name: str, most: int | None = None) -> bytes:
        """A whole member.

        Arguments:
            most: the most bytes that it may have; by default as many as lie in the file, and for a compressed one 8 MiB.

        Raises:
            ValueError: it is larger, or not what was written.
        """
        member = self._member(name)
        if most is None:
            most = max(member.compress_size, _PACKED_MOST if member.compress_type == zipfile.ZIP_DEFLATED else 0)
        if member.file_size > most:
            raise ValueError(f"expected {name!r} to have at most {most} bytes, got {member.file_size}")
        parts, left = [], member.file_size
        with self._zip.open(member) as file:
            while part := file.read(min(_READ_MOST, left + 1)):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise ValueError(f"{name!r} is longer than it says")
        if left:
            raise ValueError(f"{name!r} is shorter than it says")
        return b"".join(parts)

    def text(self, name: str) -> str:
        """A whole member of text."""
        return self.read(name).decode("utf-8")

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise ValueError(f"expected a member {name!r} in the archive, got {', '.join(self._members) or 'none'}")
        return self._members[name]
