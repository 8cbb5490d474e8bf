"""``frames``: a pipeline as bytes, for whatever carries them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import reactivex
from reactivex import Observable

import rxllm
from rxllm import operators as ops
from rxllm import serving
from rxllm.testing import check_operator, chunk, marbles

END = b'id: end\nevent: end\ndata: {"type":"end","ending":"%s"}\n\n'


def text(value: str) -> bytes:
    return b'data: {"round":1,"type":"text","text":%b}\n\n' % json.dumps(value).encode()
