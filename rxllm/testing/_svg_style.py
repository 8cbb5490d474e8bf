"""What pictures look like.

It follows the theme: dark inside ``data-theme="dark"`` (Furo and others set that), light inside ``data-theme="light"``,
otherwise as the reader's system says. The colours of marbles, after Okabe and Ito, differ for the colour-blind, too.
"""

from __future__ import annotations

__all__ = ["COLOURS", "STYLE"]

COLOURS = 8
"""How many colours marbles have, classes ``c0`` to ``c7``."""

LIGHT = """--ink:#1b1f24;--soft:#59636e;--rule:#8c959f;--paper:#f6f8fa;--band:#9a6700;--wash:#fff5d6;--error:#b3261e;
--f0:#d3e6fa;--s0:#0b5cad;--f1:#ffe3bd;--s1:#a65200;--f2:#cdefe0;--s2:#00704c;--f3:#f7dbea;--s3:#9b2a6d;
--f4:#fbf2b6;--s4:#766500;--f5:#ffd9cf;--s5:#b03a18;--f6:#d3f1f8;--s6:#03687d;--f7:#e3e6ea;--s7:#47525d"""

DARK = """--ink:#e6edf3;--soft:#9aa7b4;--rule:#6e7781;--paper:#20252c;--band:#e3b341;--wash:#33290f;--error:#ff8178;
--f0:#12365c;--s0:#6cb2f7;--f1:#50300a;--s1:#f4a94f;--f2:#0b402f;--s2:#4fcf9f;--f3:#4d1c39;--s3:#ee8fc3;
--f4:#443b05;--s4:#e2cf4b;--f5:#55230f;--s5:#ff9a7b;--f6:#0a3e49;--s6:#62cfe6;--f7:#373e47;--s7:#adb8c3"""

STYLE = (
    ".rxllm-marbles{" + LIGHT + ";font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n"
    "@media (prefers-color-scheme:dark){.rxllm-marbles{" + DARK + "}}\n"
    "[data-theme=light] .rxllm-marbles{" + LIGHT + "}\n"
    "[data-theme=dark] .rxllm-marbles{" + DARK + "}\n"
    ".rxllm-marbles text{fill:var(--ink);white-space:pre}\n"
    ".rxllm-marbles .caption,.rxllm-marbles .axis text{fill:var(--soft);font-size:11px}\n"
    ".rxllm-marbles .note{fill:var(--band);font-size:11px}\n"
    ".rxllm-marbles path,.rxllm-marbles rect,.rxllm-marbles circle{fill:none;stroke:var(--rule);stroke-width:1.5}\n"
    ".rxllm-marbles .operator rect{fill:var(--paper)}\n"
    ".rxllm-marbles .paused rect,.rxllm-marbles .busy rect{fill:var(--wash);stroke:none}\n"
    ".rxllm-marbles .paused path,.rxllm-marbles .busy path{stroke:var(--band);stroke-width:1}\n"
    ".rxllm-marbles .due{stroke:var(--ink);stroke-dasharray:2 2}\n"
    ".rxllm-marbles .left{stroke-dasharray:1 5}\n"
    ".rxllm-marbles .completed path{stroke:var(--ink);stroke-width:2.5}\n"
    ".rxllm-marbles .failed path{stroke:var(--error);stroke-width:3}\n"
    ".rxllm-marbles .waiting .area{fill:var(--wash);stroke:none}\n"
    ".rxllm-marbles .waiting .depth{stroke:var(--band);stroke-width:2}\n"
    + "".join(
        f".rxllm-marbles .c{n} rect,.rxllm-marbles rect.c{n}{{fill:var(--f{n});stroke:var(--s{n})}}\n"
        for n in range(COLOURS)
    )
)
