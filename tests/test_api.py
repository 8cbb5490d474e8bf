"""The public surface: what is there, what it is called, and what importing it does."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import rxllm
import rxllm.accumulators
import rxllm.models
import rxllm.testing
import rxllm.wire
from rxllm import operators

MODELS = (
    *("ChatRequest", "Message", "Role", "ToolCall", "FunctionCall", "StreamChunk", "StreamChoice", "Delta"),
    *("Attempt", "StreamInfo", "Timing", "Restarted", "MixedAnswersError", "RestartError"),
    "UnsupportedRequestError",
    *("Approved", "Refused", "ApprovalRequested", "ApprovalGiven", "ApprovalError"),
    *("DeltaPart", "DeltaBlock", "MessagePart", "Origin", "PartKind", "PartStart", "PartDelta", "PartEnd"),
    *("ToolCallDelta", "FunctionCallDelta", "Usage", "FinishReason", "ChatCompletion", "ServerSentEvent"),
)

PARAMETERS = {
    "from_http": ("url", "framing", "json", "method", "headers", "session", "record"),
    "from_sse": ("url", "json", "method", "headers", "session", "record"),
    "from_websocket": ("url", "send", "headers", "session", "record"),
    "from_async_iterable": ("factory_or_iterable",),
    "from_log": ("log", "name", "after", "with_positions", "snapshot"),
    "Log": ("engine", "lease", "keep_for", "keep_bytes"),
    "SQLiteLog": ("path", "lease", "keep_for", "keep_bytes", "max_item_bytes"),
    "RedisLog": ("url", "prefix", "lease", "keep_for", "keep_bytes", "patience", "max_item_bytes"),
    "SQLiteLog.produce": ("self", "name", "pipeline", "take_over", "buffer_size"),
    "SQLiteLog.sink": ("self", "name", "take_over"),
    "SQLiteLog.cancel": ("self", "name", "reason", "by"),
    "SQLiteLog.list": ("self",),
    "SQLiteLog.expire": ("self", "older_than"),
    "LogItem": ("position", "item", "restarts"),
    "LogPosition": ("epoch", "number"),
    "from_recording": ("path", "stream", "timing", "speed", "attempts"),
    "iterate": ("observable", "buffer_size"),
    "run": ("observable",),
    "LLMClient": ("base_url", "api_key", "record", "retries", "limits", "telemetry"),
    "ClientPool": ("clients", "threshold", "rest", "patience", "telemetry"),
    "Limits": ("requests_per_minute", "tokens_per_minute", "estimate", "max_concurrency"),
    "fallback": ("sources", "when", "after_first"),
    "hedge": ("sources", "delay"),
    "operators.deadline": ("seconds",),
    "operators.measure": ("on_end",),
    "operators.rate_limit": ("limits", "tokens"),
    "operators.retry_with_backoff": (
        *("max_attempts", "initial", "maximum", "jitter", "retry_on", "after_first", "on_retry"),
    ),
    "LLMClient.for_host": ("host", "options"),
    "LLMClient.chat": ("self", "request", "headers", "timeout"),
    "LLMClient.chat_stream": ("self", "request", "headers", "timeout"),
    "LLMClient.websocket_stream": ("self", "request"),
    "LLMClient.chat_with_tools": ("self", "request", "registry", "max_rounds", "approve"),
    "StreamAccumulator.add": ("self", "chunk"),
    "StreamAccumulator.process_chunk": ("self", "chunk"),
    "StreamAccumulator.completion": ("self",),
    "StreamAccumulator.message": ("self",),
    "FlowControl.current": (),
    "dialects.OpenAIChat": ("cumulative_text", "skip_malformed", "send_reasoning", "send_extras", "asks_usage", "home"),
    "dialects.Gemini": ("version", "platform", "home"),
    "dialects.Cohere": ("client_name", "send_tool_plan", "home"),
    "dialects.Ollama": ("cloud", "home"),
    "wire.NDJSONDecoder": ("max_event_bytes",),
    "wire.NDJSONDecoder.feed": ("self", "data"),
    "wire.NDJSONDecoder.close": ("self", "in_good_order"),
    "dialects.Home": ("base_url", "base_url_variable", "key_variable"),
    "dialects.Endpoint": ("base_url", "key"),
    "dialects.Endpoint.url": ("self", "path", "query"),
    "dialects.WireRequest": (
        *("url", "body", "headers", "public_headers", "method", "framing", "end_marker", "repairs"),
    ),
    "dialects.Dialect.http_request": ("self", "request", "endpoint"),
    "dialects.WebSocketDialect.websocket_request": ("self", "request", "endpoint"),
    "dialects.Reader.decoder": ("self",),
    "dialects.get_dialect": ("dialect",),
    "dialects.get_reader": ("dialect",),
    "dialects.get_host": ("name",),
    "dialects.ported": ("messages", "is_home"),
    "operators.decode_aws_frames": ("max_event_bytes",),
    "operators.decode_ndjson": ("max_event_bytes",),
    "operators.decode_sse": ("max_event_bytes",),
    "operators.parse": ("dialect",),
    "operators.timeout_per_chunk": ("seconds", "first", "other", "scheduler"),
    "operators.accumulate": (),
    "operators.accumulate_snapshots": (),
    "operators.accumulate_tool_calls": ("eager",),
    "operators.content": (),
    "operators.buffer_with_backpressure": ("size", "overflow"),
    "operators.map_async": ("mapper", "max_concurrency", "ordered"),
    "operators.tee_to": ("sink", "buffer_size", "overflow"),
    "operators.tee_to_display": ("file",),
    "operators.tool_call_progress": (),
    "operators.json_path": ("paths",),
    "operators.parse_structured": ("model",),
    "operators.parts": (),
    "operators.run_tools": ("registry", "max_concurrency", "timeout", "on_error", "approve", "telemetry"),
    "operators.split_reasoning": ("tag",),
    "operators.stop_when": ("signal",),
    "operators.trace": ("telemetry", "request", "model", "provider", "conversation"),
    "sinks.SQLiteSink": ("path",),
    "sinks.JSONLinesSink": ("path",),
    "serving.DurableStreams": ("log", "content_type", "long_poll", "sse_seconds", "batch_bytes", "cache_control"),
    "serving.DurableStreams.add_to": ("self", "app", "prefix"),
    "serving.DurableStreams.aiohttp_response": ("self", "request", "name"),
    "serving.aiohttp_response": ("request", "pipeline", "protocol", "headers", "first", "heartbeat"),
    "serving.StreamingResponse": ("pipeline", "protocol", "body", "headers", "first", "heartbeat", "background"),
    "serving.frames": ("pipeline", "protocol"),
    "serving.Asked": ("body", "resumes"),
    "serving.PublicError": ("status", "code", "message", "retry_after"),
    "serving.ServedEnd": ("kind", "error", "reason"),
    "serving.AGUI": ("thread_id", "run_id", "usage"),
    "serving.OpenAIChat": ("model", "include_usage"),
    "telemetry.inspect": ("text",),
    "serving.UIMessageStream": ("message_id", "metadata", "usage", "dynamic"),
    "telemetry.OpenTelemetry": (*("tracer_provider", "meter_provider", "capture_content", "propagate", "chunk_times"),),
}
"""The names that users write, and the parameters that they may count on. More may follow those."""

# Nothing can go wrong in these but what the source and the user's own callbacks raise.
RAISE_NOTHING: set[str] = set()


def packages() -> list[ModuleType]:
    """Every module that a user may import from: those without an underscore."""
    names = [module.name for module in pkgutil.walk_packages(rxllm.__path__, "rxllm.")]
    return [rxllm, *(importlib.import_module(name) for name in names if "._" not in name)]


EXPORTS = {f"{package.__name__}.{name}": (package, name) for package in packages() for name in package.__all__}


def test_a_module_of_a_lazy_package_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rxllm.testing, "script")
    assert rxllm.testing.script is sys.modules["rxllm.testing.script"]
    monkeypatch.delattr(rxllm, "wire")
    assert rxllm.wire is sys.modules["rxllm.wire"]


def test_a_name_of_a_package_within_is_one_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rxllm, "StreamChunk", raising=False)
    assert rxllm.StreamChunk is rxllm.models.StreamChunk
    with pytest.raises(AttributeError, match="'rxllm' has no attribute 'StreamChunks'"):
        getattr(rxllm, "StreamChunks")  # noqa: B009 - a type checker knows that there is none


@pytest.mark.parametrize(("package", "name"), EXPORTS.values(), ids=EXPORTS)
def test_what_is_exported_exists_and_is_documented(package: ModuleType, name: str) -> None:
    exported = getattr(package, name)

    if inspect.isclass(exported):
        # Not an inherited docstring: that would say what something else is.
        assert vars(exported).get("__doc__")
    elif inspect.isfunction(exported) or inspect.ismodule(exported):
        assert exported.__doc__


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.__name__)
def test_exports_are_listed_once_and_documented_as_a_whole(package: ModuleType) -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    assert package.__doc__


def test_the_names_of_the_package_are_sorted() -> None:
    assert rxllm.__all__ == sorted(rxllm.__all__)


@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_there(name: str) -> None:
    assert name in rxllm.__all__
    assert inspect.isclass(getattr(rxllm, name))


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_the_names_that_users_write(name: str, parameters: tuple[str, ...]) -> None:
    value: Any = rxllm
    for part in name.split("."):
        value = getattr(value, part)

    assert name.partition(".")[0] in dir(rxllm)
    found = list(inspect.signature(value).parameters)
    assert [each for each in found if each in parameters] == list(parameters)


OLD_NAMES = {
    "StreamAccumulator": {"process_chunk": "add"},
    "ToolCallAccumulator": {"process_chunk": "add", "finish": "close"},
    "ToolCallProgressAccumulator": {"process_chunk": "add"},
    "JSONPathAccumulator": {"process_chunk": "add", "finish": "close"},
    "JSONFold": {"grow": "add_piece", "feed": "add", "finish": "close"},
    "StructuredAccumulator": {"feed": "add", "finish": "close"},
    "TaggedText": {"feed": "add", "flush": "close"},
}
"""What the methods of the folds were called in 0.1."""


@pytest.mark.parametrize(("name", "methods"), OLD_NAMES.items())
def test_the_names_of_0_1_are_there(name: str, methods: dict[str, str]) -> None:
    accumulator = getattr(rxllm.accumulators, name)
    for old, new in methods.items():
        assert getattr(accumulator, old) is getattr(accumulator, new)


def test_the_end_of_a_cut_json_text_by_its_name_of_0_1() -> None:
    fold = rxllm.JSONFold()
    assert fold.feed("12") == []
    (change,) = fold.flush()
    assert (change.value, fold.closed) == (12, True)


def test_every_operator_is_a_name_that_users_write() -> None:
    assert {f"operators.{name}" for name in operators.__all__} <= PARAMETERS.keys()


@pytest.mark.parametrize("name", operators.__all__)
def test_every_operator_documents_itself(name: str) -> None:
    operator: Callable[..., Any] = getattr(operators, name)
    doc = inspect.getdoc(operator) or ""
    head, _, rest = doc.partition("\n\n::\n\n")
    # A line that ends with two colons introduces a further diagram.
    sections = {line[:-1] for line in rest.splitlines() if line.endswith(":") and not line.startswith(" ")}
    sections = {section for section in sections if not section.endswith(":")}

    assert head.count("\n") == 0, "one sentence first"
    assert head.endswith(".")
    assert "result  " in rest, "a diagram that says what comes out"
    expected = {"Returns", "Example", "See also"}
    parameters = inspect.signature(operator).parameters
    if parameters:
        expected.add("Args")
    if name not in RAISE_NOTHING:
        expected.add("Raises")
    assert sections == expected
    for parameter in parameters:
        assert f"\n    {parameter}: " in doc
    assert "\n    >>> " in doc


OBSERVED_IMPORT = """
import os, sys

READING = os.O_RDONLY | os.O_CLOEXEC
acts = []

def watch(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        acts.append((event, arguments[0]))
    elif event.startswith(("socket.", "subprocess.", "sqlite3.", "os.system", "os.fork", "_thread.")):
        acts.append((event, arguments))

sys.addaudithook(watch)
{}
import threading

print(acts, threading.active_count(), *sorted(sys.modules), sep="\\n")
"""


EVERYTHING = "from rxllm import *\nfrom rxllm.operators import *\nfrom rxllm.sinks import *"


def observed(statements: str) -> tuple[str, set[str]]:
    """What importing does, and the modules that are there then."""
    output = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", OBSERVED_IMPORT.replace("{}", statements)],
        check=True,
        capture_output=True,
        text=True,
    )
    acts, threads, *modules = output.stdout.splitlines()
    assert output.stderr == ""
    assert threads == "1"
    return acts, set(modules)


def test_importing_does_nothing_and_imports_nothing_optional() -> None:
    acts, modules = observed(EVERYTHING)

    assert acts == "[]"
    assert "rxllm.operators._accumulate" in modules
    # What tests, types and further stores need is for those who use them.
    assert not {"rxllm.testing", "pytest", "hypothesis", "coverage", "rich", "redis", "xllamacpp"} & modules
    assert "opentelemetry" not in modules


@pytest.mark.parametrize(
    ("statements", "needless"),
    [
        ("import rxllm", {"rxllm.operators", "aiohttp", "pydantic", "reactivex", "sqlite3"}),
        ("from rxllm import StreamChunk, StreamAccumulator", {"aiohttp", "reactivex", "sqlite3"}),
        (
            "from rxllm import LLMClient",
            {
                *("rxllm.tools._tool_registry", "rxllm.sources._from_websocket", "sqlite3", "rxllm.stores._log"),
                *("rxllm.dialects.anthropic._anthropic", "rxllm.dialects.gemini._gemini", "rxllm.dialects._hosts"),
            },
        ),
        ("import rxllm.operators as ops; ops.parse, ops.accumulate", {"aiohttp", "rxllm.operators._json_path"}),
        ('import rxllm; rxllm.dialects.get_dialect("cohere")', {"aiohttp", "rxllm.dialects.anthropic._anthropic"}),
    ],
)
def test_an_application_imports_what_it_uses(statements: str, needless: set[str]) -> None:
    acts, modules = observed(statements)

    assert acts == "[]"
    assert not needless & modules


LAZY_PACKAGES = [package for package in packages() if "__getattr__" in vars(package)]


def names_of(node: ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names]
    if names != ["*"]:
        return names
    module = importlib.import_module(str(node.module))
    return list(getattr(module, "__all__", vars(module)))


@pytest.mark.parametrize("package", LAZY_PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_see_what_there_is(package: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(package))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = {
        name: node.module
        for node in (*tree.body, *block.body)
        if isinstance(node, ast.ImportFrom)
        for name in names_of(node)
        # Of other packages all is imported, and exported what is public. What is there for the library is named.
        if name in package.__all__ or (node in block.body and node.names[0].name != "*")
    }

    assert set(package.__all__) <= imports.keys()
    for name, module in imports.items():
        assert getattr(package, name) is getattr(importlib.import_module(str(module)), name)


@pytest.mark.parametrize("package", LAZY_PACKAGES, ids=lambda package: package.__name__)
def test_a_package_lists_what_it_has_and_nothing_else(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'misspelled'"):
        _ = package.misspelled


@pytest.mark.parametrize("name", ["models", "exceptions", "typing", "wire"])
def test_modules_of_the_library_need_no_import_of_their_own(name: str) -> None:
    statement = f"import rxllm; print(rxllm.{name}.__name__)"

    output = subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True, text=True)

    assert output.stdout == f"rxllm.{name}\n"
