"""``python -m rxllm``: the same as the program ``rxllm``."""

from __future__ import annotations

import sys

from rxllm.cli import main

sys.exit(main())
