"""Compressed files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Compression:
    """
    A way to compress a file.

    :param suffix: What the name of such a file ends with.
    :param compress: From what it holds to its bytes; the same bytes whenever it is called.
    :param decompress: From its bytes to what it holds.
    """

    suffix: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


def compression_of(name: str | None) -> Compression:
    """
    Return a way to compress.

    :param name: ``gzip``, ``zstd``, or None for none.
    """
    if name == "gzip":
        return Compression(".gz", lambda content: gzip.compress(content, _GZIP_LEVEL, mtime=0), gzip.decompress)
    if name == "zstd":
        import zstandard  # an extra

        return Compression(
            ".zst",
            lambda content: zstandard.ZstdCompressor().compress(content),
            lambda content: zstandard.ZstdDecompressor().decompress(content),
        )
    return Compression("", bytes, bytes)


_GZIP_LEVEL = 6  # as the command does
