"""Images, recordings of sound and files in a message: what becomes one of its content parts.

Rules:

1. A part is in the words of OpenAI's chat completions, with the bytes in it. A dialect with other words converts it.
2. No more than ``max_bytes`` are read, whatever the size of the file.
3. What the bytes are is told by their beginning, else by the name of the file.
"""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from rxllm.exceptions import LimitExceededError, excerpt

MAX_FILE_BYTES = 20 * 1024 * 1024
"""How many bytes an attachment may have by default. Servers refuse larger ones."""

Detail: TypeAlias = Literal["auto", "low", "high"]

_UNKNOWN = "application/octet-stream"
# How files begin: the bytes at an offset, and the media type.
_BEGINNINGS = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
)
_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


@dataclass(frozen=True)
class Image:
    """An image for ``Message.user``. Make it with ``from_path``, ``from_bytes`` or ``from_url``.

    Args:
        url: The address of the image, or the image itself as a ``data:`` URL.
        detail: How closely the model looks at it: ``"low"`` costs least. By default the server decides.

    Example:
        >>> import rxllm
        >>> message = rxllm.Message.user("What is this?", rxllm.Image.from_url("https://example.org/cat.png"))
        >>> message.content[1]
        {'type': 'image_url', 'image_url': {'url': 'https://example.org/cat.png'}}
    """

    url: str = field(repr=False)
    detail: Detail | None = None

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], *, detail: Detail | None = None, max_bytes: int = MAX_FILE_BYTES
    ) -> Self:
        """Read an image from a file.

        Args:
            path: The file.
            detail: As in the class.
            max_bytes: The most bytes that the file may have.

        Raises:
            LimitExceededError: The file has more than ``max_bytes`` bytes.
            ValueError: The file is empty, or is not a known kind of image.
            OSError: The file cannot be read.
        """
        data = _read(path, max_bytes)
        return cls.from_bytes(data, media_type=_media_type(data, os.fspath(path)), detail=detail, max_bytes=max_bytes)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        media_type: str | None = None,
        detail: Detail | None = None,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> Self:
        """Make an image from the bytes of an image file.

        Args:
            data: The bytes.
            media_type: The media type, ``image/png`` for example; by default it is found from the first bytes.
            detail: As in the class.
            max_bytes: The most bytes that are allowed.

        Raises:
            LimitExceededError: There are more than ``max_bytes`` bytes.
            ValueError: There are no bytes, or they are not a known kind of image.
        """
        _check(data, max_bytes)
        kind = media_type or _media_type(data)
        if not kind.startswith("image/"):
            raise ValueError(
                f"these {len(data)} bytes are not a known kind of image ({kind}): give media_type='image/…', "
                "or send them with File.from_bytes()"
            )
        return cls(_data_url(kind, data), detail)

    @classmethod
    def from_url(cls, url: str, *, detail: Detail | None = None, max_bytes: int = MAX_FILE_BYTES) -> Self:
        """Refer to an image that the server fetches itself, or that is in a ``data:`` URL.

        Args:
            url: ``https://``, ``http://``, or the image itself as a ``data:`` URL.
            detail: As in the class.
            max_bytes: The most bytes that the image in a ``data:`` URL may have.

        Raises:
            LimitExceededError: The image has more than ``max_bytes`` bytes.
            ValueError: ``url`` is not a URL of these kinds.
        """
        text = str(url)
        if not text.lower().startswith(("https://", "http://", "data:")):
            raise ValueError(f"an image is at https://, http:// or data:, not {excerpt(text)}: use Image.from_path()")
        if text[:5].lower() == "data:" and len(text) > 100 + max_bytes * 4 // 3:
            raise _too_large(max_bytes)
        return cls(text, detail)

    def part(self) -> dict[str, Any]:
        """The content part."""
        image = {"url": self.url} if self.detail is None else {"url": self.url, "detail": self.detail}
        return {"type": "image_url", "image_url": image}


@dataclass(frozen=True)
class Audio:
    """Speech or other sound for ``Message.user``. Make it with ``from_path`` or ``from_bytes``.

    Args:
        data: The bytes of the file, in base64.
        format: ``"wav"`` or ``"mp3"``.
    """

    data: str = field(repr=False)
    format: str

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], *, format: str | None = None, max_bytes: int = MAX_FILE_BYTES
    ) -> Self:
        """Read a file, ``.wav`` or ``.mp3``.

        Args:
            path: The file.
            format: As in the class; by default it is found from the file.
            max_bytes: The most bytes that the file may have.

        Raises:
            LimitExceededError: The file has more than ``max_bytes`` bytes.
            ValueError: The file is empty, or in another format.
            OSError: The file cannot be read.
        """
        data = _read(path, max_bytes)
        known = _FORMATS.get(_media_type(data, os.fspath(path)))
        return cls.from_bytes(data, format=format or known, max_bytes=max_bytes)

    @classmethod
    def from_bytes(cls, data: bytes, *, format: str | None = None, max_bytes: int = MAX_FILE_BYTES) -> Self:
        """Make an attachment from the bytes of a file.

        Args:
            data: The bytes.
            format: As in the class; by default it is found from the first bytes.
            max_bytes: The most bytes that are allowed.

        Raises:
            LimitExceededError: There are more than ``max_bytes`` bytes.
            ValueError: There are no bytes, or they are in another format.
        """
        _check(data, max_bytes)
        known = format or _FORMATS.get(_media_type(data))
        if known is None:
            raise ValueError(f"these {len(data)} bytes are neither WAV nor MP3: give format='wav' or format='mp3'")
        return cls(base64.b64encode(data).decode(), known)

    def part(self) -> dict[str, Any]:
        """The content part."""
        return {"type": "input_audio", "input_audio": {"data": self.data, "format": self.format}}


@dataclass(frozen=True)
class File:
    """A file for ``Message.user``, a PDF for example. Make it with ``from_path``, ``from_bytes`` or ``from_id``.

    Args:
        name: The name of the file.
        data: The file as a ``data:`` URL.
        id: The identifier of a file that the server already has, instead of ``name`` and ``data``.
    """

    name: str | None = None
    data: str | None = field(default=None, repr=False)
    id: str | None = None

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_FILE_BYTES) -> Self:
        """Read a file.

        Args:
            path: The file.
            max_bytes: The most bytes that the file may have.

        Raises:
            LimitExceededError: The file has more than ``max_bytes`` bytes.
            ValueError: The file is empty.
            OSError: The file cannot be read.
        """
        return cls.from_bytes(_read(path, max_bytes), Path(path).name, max_bytes=max_bytes)

    @classmethod
    def from_bytes(
        cls, data: bytes, name: str, *, media_type: str | None = None, max_bytes: int = MAX_FILE_BYTES
    ) -> Self:
        """Make an attachment from the bytes of a file.

        Args:
            data: The bytes.
            name: The name of the file.
            media_type: The media type, ``application/pdf`` for example; by default it is found from the first bytes or
                the name.
            max_bytes: The most bytes that are allowed.

        Raises:
            LimitExceededError: There are more than ``max_bytes`` bytes.
            ValueError: There are no bytes.
        """
        _check(data, max_bytes)
        return cls(name, _data_url(media_type or _media_type(data, name), data))

    @classmethod
    def from_id(cls, id: str) -> Self:
        """Refer to a file that was uploaded before, by the identifier that the server gave it."""
        return cls(id=id)

    def part(self) -> dict[str, Any]:
        """The content part."""
        if self.id is not None:
            return {"type": "file", "file": {"file_id": self.id}}
        return {"type": "file", "file": {"filename": self.name, "file_data": self.data}}


Content: TypeAlias = str | Image | Audio | File | Mapping[str, Any]
"""A piece of a message of the user: text, an attachment, or a content part in the server's format."""


def content_of(pieces: tuple[Content, ...]) -> str | list[dict[str, Any]]:
    """The content of a message: one text as it is, else a list of parts.

    Raises:
        TypeError: A piece is something else.
    """
    if len(pieces) == 1 and isinstance(pieces[0], str):
        return pieces[0]
    return [_part_of(piece) for piece in pieces]


def _part_of(piece: object) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    if isinstance(piece, Image | Audio | File):
        return piece.part()
    if isinstance(piece, Mapping):
        return {**piece}
    raise TypeError(
        f"a message is made of str, Image, Audio, File or a content part, not {type(piece).__name__}: "
        "use Image.from_path(), Image.from_bytes() and the like for paths and bytes"
    )


def _read(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(max_bytes + 1)


def _check(data: bytes, max_bytes: int) -> None:
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    if not data:
        raise ValueError("there is nothing to attach: no bytes")


def _too_large(max_bytes: int) -> LimitExceededError:
    return LimitExceededError(
        f"an attachment has more than {max_bytes} bytes: make it smaller, or give max_bytes",
        limit="max_bytes",
        maximum=max_bytes,
    )


def _media_type(data: bytes, name: str = "") -> str:
    for offset, beginning, media_type in _BEGINNINGS:
        if data.startswith(beginning, offset):
            return media_type
    return mimetypes.guess_type(name)[0] or _UNKNOWN


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
