"""Messages of text, images, sound and files, in the words of chat completions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rxllm import Audio, File, FunctionCall, Image, LimitExceededError, Message, Role, ToolCall

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt "


def url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_messages_in_few_words() -> None:
    call = ToolCall(id="call_1", function=FunctionCall(name="look_up"))
    messages = [
        Message.system("Be brief."),
        Message.user("Why?", name="ann"),
        Message.assistant(tool_calls=(call,)),
        Message.tool("18 degrees", tool_call_id="call_1"),
        Message.assistant("Because."),
    ]

    assert [message.role for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert [message.to_wire() for message in messages] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?", "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {**call.function.model_dump()}}],
        },
        {"role": "tool", "content": "18 degrees", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "Because."},
    ]
    assert messages[1].text == "Why?"
    assert messages[0].role is Role.SYSTEM


def test_pieces_become_parts_in_order(tmp_path: Path) -> None:
    picture = tmp_path / "a picture"
    picture.write_bytes(PNG)
    (tmp_path / "speech.wav").write_bytes(WAV)
    (tmp_path / "notes.txt").write_bytes(b"notes")
    message = Message.user(
        "What is this?",
        Image.from_path(picture, detail="low"),
        Image.from_url("https://example.org/a.png"),
        Audio.from_path(tmp_path / "speech.wav"),
        File.from_path(tmp_path / "notes.txt"),
        File.from_id("file-1"),
        {"type": "text", "text": "Say it."},
    )

    assert message.to_wire()["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url("image/png", PNG), "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}},
        {"type": "file", "file": {"filename": "notes.txt", "file_data": url("text/plain", b"notes")}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "Say it."},
    ]
    assert message.text == "What is this?Say it."
    assert Message.model_validate_json(message.model_dump_json()) == message


BEGINNINGS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
}


@pytest.mark.parametrize(("kind", "data"), BEGINNINGS.items())
def test_what_an_image_is_is_told_by_its_beginning(kind: str, data: bytes) -> None:
    assert Image.from_bytes(data).url == url(kind, data)


def test_a_media_type_that_is_given_counts() -> None:
    assert Image.from_bytes(b"<svg/>", media_type="image/svg+xml").url == url("image/svg+xml", b"<svg/>")
    assert File.from_bytes(b"x", "x", media_type="text/x-log").data == url("text/x-log", b"x")
    assert File.from_bytes(b"%PDF-1.7", "x").data == url("application/pdf", b"%PDF-1.7")
    assert File.from_bytes(b"x", "x").data == url("application/octet-stream", b"x")
    assert Audio.from_bytes(b"ID3 sound").format == "mp3"
    assert Audio.from_bytes(b"sound", format="flac").format == "flac"
    assert Image.from_url(url("image/png", PNG)).part()["image_url"] == {"url": url("image/png", PNG)}


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(PNG)
    makers: list[Callable[[int], object]] = [
        lambda most: Image.from_path(large, max_bytes=most),
        lambda most: Image.from_bytes(PNG, max_bytes=most),
        lambda most: File.from_path(large, max_bytes=most),
        lambda most: File.from_bytes(PNG, "a.png", max_bytes=most),
        lambda most: Audio.from_path(large, format="wav", max_bytes=most),
        lambda most: Audio.from_bytes(PNG, format="wav", max_bytes=most),
    ]
    for make in makers:
        assert make(len(PNG))
        with pytest.raises(
            LimitExceededError, match="more than 14 bytes: make it smaller, or give max_bytes"
        ) as caught:
            make(len(PNG) - 1)
        assert (caught.value.limit, caught.value.maximum) == ("max_bytes", 14)
    with pytest.raises(LimitExceededError):
        Image.from_url(url("image/png", b"x" * 300), max_bytes=200)
    with pytest.raises(LimitExceededError):
        Image.from_path("/dev/zero")


def test_what_is_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    for make in (Image.from_path, File.from_path, Audio.from_path):
        with pytest.raises(ValueError, match="there is nothing to attach: no bytes"):
            make(empty)
        with pytest.raises(FileNotFoundError):
            make(tmp_path / "none")
    with pytest.raises(
        ValueError, match=r"not a known kind of image \(text/plain\): give media_type='image/…', or send"
    ):
        Image.from_bytes(b"text", media_type="text/plain")
    with pytest.raises(ValueError, match="are neither WAV nor MP3: give format='wav' or format='mp3'"):
        Audio.from_bytes(b"text")
    with pytest.raises(ValueError, match=r"at https://, http:// or data:, not 'a\.png': use Image\.from_path"):
        Image.from_url("a.png")


@pytest.mark.parametrize("piece", [b"bytes", Path("a.png"), 5, None])
def test_what_is_no_piece_of_a_message(piece: Any) -> None:
    with pytest.raises(TypeError, match=r"is made of str, .*: use Image\.from_path\(\), Image\.from_bytes\(\) and"):
        Message.user("What is this?", piece)


def test_bytes_are_not_shown() -> None:
    shown = repr([Image.from_bytes(PNG), Audio.from_bytes(WAV), File.from_bytes(PNG, "a.png")])

    assert base64.b64encode(PNG).decode() not in shown
    assert "a.png" in shown
