"""What is about eager tasks is for those Pythons that have them, from 3.12 on."""

from __future__ import annotations

import asyncio

collect_ignore = [] if hasattr(asyncio, "eager_task_factory") else ["test_eager_tasks.py"]
