"""``python -m rxllm.testing.conformance``: see ``--help``."""

from __future__ import annotations

import sys

from rxllm.testing.conformance._command import main

sys.exit(main())
