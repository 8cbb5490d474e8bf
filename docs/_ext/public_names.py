"""Public names: each is documented, and each that stands in the text is a link.

- A name that a public module of rxllm exports and no page documents is a warning, and warnings fail the build. So is a
  method that public classes have from a base that is not public, if none of them is shown with it.
- Aliases and constants are documented where their module exports them, with the text that stands below them where they
  are defined. (Sphinx looks for that text in the exporting module only.)
- A name in double backticks is a link if it is one of: a class or exception; anything with its module, as
  ``rxllm.iterate`` or ``ops.parse``; an operator whose name no word of prose could be, as ``tee_to``; any name in a
  section "See also". Names that several things have are none.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Collection, Iterator
from functools import cache
from inspect import isclass
from operator import attrgetter
from types import FunctionType
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

import rxllm
from rxllm import operators

NAME = re.compile(r"(?P<module>(?:rxllm|ops|operators|sinks|testing)\.)?(?P<name>[A-Za-z_][\w.]*)(?:\(\))?")

# Of these, a page tells once for all, or they are the inside of the kit for operators.
BASES_APART = frozenset({"BatchObserver", "Receiver", "WireStruct"})
# For other rooms.
NOT_FOR_USERS = frozenset({"traces"})

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register what is in here."""
    app.add_post_transform(LinkNames)
    app.connect("builder-inited", _share_texts)
    app.connect("env-check-consistency", _check_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class LinkNames(SphinxPostTransform):
    """Makes links of names; the resolver of Sphinx, which runs later, finds where they lead."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        """Go through one page."""
        del kwargs
        names = _documented(self.env)
        for link in self.document.findall(addnodes.pending_xref):
            if len(targets := names.get(link["reftarget"], set())) > 1:
                link["reftarget"] = _meant(link, targets)
        for literal in list(self.document.findall(nodes.literal)):
            target = _target(literal, names)
            if target is not None:
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refdoc=self.env.docname
                )
                literal.replace_self(link)
                link += literal


def _target(literal: nodes.literal, names: dict[str, set[str]]) -> str | None:
    """The full name of what a literal names, if it is to be a link."""
    found = NAME.fullmatch(literal.astext())
    if found is None or _within(literal, nodes.reference, nodes.title, addnodes.pending_xref, addnodes.desc_signature):
        return None
    operator = "_" in found["name"] and found["name"] in operators.__all__
    if not (found["module"] or found["name"][0].isupper() or operator or _within(literal, addnodes.seealso)):
        return None
    targets = names.get(found["name"].removeprefix("operators.").removeprefix("sinks."), set())
    if len(targets) != 1:
        return None
    (target,) = targets
    return None if target in _described_around(literal) else target


def _meant(link: addnodes.pending_xref, targets: set[str]) -> str:
    """Which of several things of one name a signature means: what its module has under that name."""
    name: str = link["reftarget"]
    for each in _ancestors(link):
        for signature in each.findall(addnodes.desc_signature) if isinstance(each, addnodes.desc) else ():
            owner = _named(f"{signature.get('module')}.{signature.get('fullname')}")
            value = getattr(sys.modules.get(getattr(owner, "__module__", "")), name, None)
            for target in targets:
                if value is not None and _named(target) == value:
                    return target
    return name


def _named(full_name: str) -> Any:
    """The object of a full name; ``None`` if there is none."""
    module, _, rest = full_name.rpartition(".")
    if full_name in sys.modules:
        return sys.modules[full_name]
    return getattr(_named(module), rest, None) if module else None


def _within(node: nodes.Node, *kinds: type[nodes.Node]) -> bool:
    return any(isinstance(each, kinds) for each in _ancestors(node))


def _described_around(node: nodes.Node) -> Iterator[str]:
    """The names of what the text around a node describes: a link to there leads nowhere."""
    for each in _ancestors(node):
        if isinstance(each, addnodes.desc):
            for signature in each.findall(addnodes.desc_signature):
                yield f"{signature.get('module')}.{signature.get('fullname')}"


def _ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _documented(env: BuildEnvironment) -> dict[str, set[str]]:
    """What is documented, by its name without the module: ``Delta``, ``Delta.content``, ``iterate``."""
    names: dict[str, set[str]] = {}
    for full, entry in env.domains.python_domain.objects.items():
        # Where a thing is defined is no name of it.
        if entry.aliased:
            continue
        parts = full.split(".")
        for start in range(1, len(parts)):
            names.setdefault(".".join(parts[start:]), set()).add(full)
    return names


def _check_names(app: Sphinx, env: BuildEnvironment) -> None:
    del app
    names = _documented(env)
    for module, name in _exports():
        exported = getattr(importlib.import_module(module), name)
        if not any(pkgutil.resolve_name(full) is exported for full in names.get(name, ())):
            logger.warning("%s.%s is public and not documented", module, name)
    public = {value for module, name in _exports() if isclass(value := getattr(importlib.import_module(module), name))}
    inherited: dict[tuple[type, str], list[type]] = {}
    for kind in sorted(public, key=attrgetter("__qualname__")):
        for method in _inherited(kind, public):
            inherited.setdefault(method, []).append(kind)
    for (_, name), kinds in inherited.items():
        if not any(f"{kind.__qualname__}.{name}" in names for kind in kinds):
            logger.warning("%s.%s is inherited and not documented", kinds[0].__qualname__, name)


def _inherited(kind: type, public: Collection[type]) -> Iterator[tuple[type, str]]:
    """What a class has from bases of ours that are not public: the base, and the name."""
    for base in kind.__mro__:
        if base.__module__.startswith("rxllm.") and base not in public and base.__name__ not in BASES_APART:
            for name, value in vars(base).items():
                is_for_users = not name.startswith("_") and name not in NOT_FOR_USERS
                if is_for_users and isinstance(value, FunctionType | classmethod | staticmethod | property):
                    yield base, name


def _share_texts(app: Sphinx) -> None:
    """Let the exporting modules have the texts of aliases and constants, where Sphinx looks for them."""
    del app
    for module, name in _exports():
        exported = getattr(importlib.import_module(module), name)
        for definer in sorted(each for each in sys.modules if each.startswith("rxllm.")):
            if vars(sys.modules[definer]).get(name) is exported:
                text = ModuleAnalyzer.for_module(definer).find_attr_docs().get(("", name))
                if text:
                    ModuleAnalyzer.for_module(module).find_attr_docs().setdefault(("", name), text)


@cache
def _exports() -> list[tuple[str, str]]:
    """The public names: module and name."""
    names = [module.name for module in pkgutil.walk_packages(rxllm.__path__, "rxllm.")]
    modules = ["rxllm", *(name for name in names if "._" not in name)]
    return [(module, name) for module in modules for name in importlib.import_module(module).__all__]
