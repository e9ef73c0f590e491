"""The rules that keep the package readable: what lies where, who imports whom, and how long things get."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import jumpseat

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "jumpseat"

# Imports go from a later group to an earlier one, never the other way and never within a group.
GROUPS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "version"}),
    frozenset({"protocol"}),
    frozenset({"context"}),
    frozenset({"calling", "daemon_threads", "http_clients"}),
    frozenset({"mcp"}),
    frozenset({"agents", "middleware", "stores", "runners"}),
    frozenset({"threads", "transcription"}),
    frozenset({"runtime"}),
    frozenset({"web"}),
    frozenset({"integrations", "cli", "testing"}),
)
WITHIN_A_GROUP = {("runners", "stores")}
FORBIDDEN = {("stores", "protocol"): "stores keep bytes and know no event type"}
# The one import against the direction, made when this function is called.
LAZY = ("jumpseat.runtime", "app", "jumpseat.web")

PARTS = frozenset().union(*GROUPS)
REQUIRED = {
    "errors", "context", "runtime", "threads", "transcription",
    *(f"protocol.{name}" for name in ("events", "inputs", "codec", "chunks", "ledger", "reduce", "history")),
    *(f"agents.{name}" for name in ("base", "http")),
    *(f"stores.{name}" for name in ("base", "memory", "postgres", "redis", "sqlite")),
    *(f"runners.{name}" for name in ("base", "event_log", "in_memory", "postgres", "redis", "sqlite")),
    *(f"web.{name}" for name in ("app", "routes", "hooks", "sse", "handlers")),
    "cli", "cli.demo", "testing",
}  # fmt: skip

# What people may import from `jumpseat`: taking one away is a change for the changelog.
PUBLIC_NAMES = """
    AbortSignal ActivityDelta ActivityMessage ActivitySnapshot Agent AgentRunner AssistantMessage
    BuiltInAgent ClaimLost ConfigurationError Context CopilotRuntime CorsConfig Custom DebugConfig
    DeveloperMessage Event EventLogRunner ForwardHeaders FunctionCall Hooks HttpAgent
    ImportReport InMemoryAgentRunner Interrupt InvalidExport InvalidInput JumpseatError Limits Message
    MessagesSnapshot
    MissingDependencyError OpenAITranscriptionService PostgresAgentRunner Raw ReasoningEncryptedValue
    ReasoningEnd ReasoningMessage ReasoningMessageChunk ReasoningMessageContent ReasoningMessageEnd
    ReasoningMessageStart ReasoningStart RedisAgentRunner RespondWith Retention RunAgentInput RunContext
    RunError RunFinished RunNotFound RunOutcome RunStarted RunnerClosed SqliteAgentRunner StateDelta
    StateSnapshot StepFinished StepStarted StoreUnavailable SubagentError SubagentFinished SubagentStarted
    SystemMessage TextMessageChunk TextMessageContent TextMessageEnd TextMessageStart
    ThreadAlreadyRunning ThreadNotFound TokenUsage Tool ToolCall ToolCallArgs ToolCallChunk
    ToolCallEnd ToolCallResult ToolCallStart ToolContext ToolError ToolMessage TranscriptionError
    TranscriptionService User UserMessage Webhook define_tool export import_ replace_request
""".split()  # noqa: SIM905 - a list this long reads better as text

CORE_PACKAGES = {"starlette", "msgspec", "httpx2", "python_multipart"}
PURE_PROTOCOL_BANS = {
    "asyncio", "concurrent", "http", "httpx2", "io", "logging", "os", "pathlib", "select", "shutil",
    "socket", "sqlite3", "ssl", "starlette", "subprocess", "tempfile", "threading", "urllib",
}  # fmt: skip
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "base_utils"}
LONGEST_FUNCTION = 60
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".ts",
    ".tsx",
    ".mjs",
    ".json",
    ".css",
    ".html",
    ".svg",
    ".txt",
    ".lock",
    ".sh",
    "",
}

# Written in pieces, so that this file does not find itself.
PRIVATE_WORDS = {
    "a registry's host": r"pypi" r"\.org|files\.python" r"hosted|registry\.npm" r"js|/sim" r"ple/",
    "a path of one machine": r"(?<![\w.])/wo" r"rk/|(?<![\w.])/ro" r"ot/|/home/\w+/",
    "a place its readers do not have": r"sha" r"red/(?:spec|design)|\bspec §|\bHTTP §",
    "work left undone": r"\bTO" r"DO\b|\bFIX" r"ME\b|\bX" r"XX\b",
}


@dataclass(frozen=True)
class Import:
    """One import of the package by one of its modules."""

    importer: str
    imported: str
    function: str | None


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), filename=str(MODULES[module]))


def part_of(module: str) -> str:
    """The part of the package a module belongs to; the package itself has none."""
    return module.split(".")[1] if "." in module else ""


def nodes(of: ast.AST, function: str | None = None) -> Iterator[tuple[ast.AST, str | None]]:
    """Every node, and the innermost function it stands in."""
    for child in ast.iter_child_nodes(of):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield child, function
        yield from nodes(child, child.name if named else function)


def imported_names(module: str) -> Iterator[tuple[str, str | None]]:
    """The dotted names a module imports, made absolute, and the function that does it, if one does."""
    is_package = MODULES[module].name == "__init__.py"
    for node, function in nodes(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")
            package = package[: len(package) - node.level + (1 if is_package else 0)] if node.level else []
            origin = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                yield (whole if whole in MODULES else origin), function


def names_for_types(module: str) -> set[str]:
    """What a module imports under ``if TYPE_CHECKING`` alone: for annotations, never executed."""
    names: set[str] = set()
    for node, _ in nodes(tree(module)):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for inner in node.body:
                if isinstance(inner, ast.Import):
                    names.update(alias.name for alias in inner.names)
                elif isinstance(inner, ast.ImportFrom) and inner.module:
                    names.update((inner.module, *(f"{inner.module}.{alias.name}" for alias in inner.names)))
    return names


def is_known_lazy(found: Import) -> bool:
    importer, function, imported = LAZY
    return (
        found.importer == importer
        and found.function == function
        and part_of(found.imported) == part_of(imported)
    )


def executed_imports() -> list[Import]:
    """Every import from one module of the package to another that runs at some time, the known one aside."""
    return [
        found
        for module in MODULES
        for name, function in imported_names(module)
        if (name == "jumpseat" or name.startswith("jumpseat.")) and name not in names_for_types(module)
        if not is_known_lazy(found := Import(module, name, function))
    ]


EXECUTED_IMPORTS = executed_imports()


def rank(part: str) -> int:
    return next(number for number, group in enumerate(GROUPS) if part in group)


def test_the_package_has_the_parts_that_its_documents_name():
    present = {module.removeprefix("jumpseat.") for module in MODULES}
    assert {part_of(module) for module in MODULES} - {""} <= PARTS
    assert present >= REQUIRED


def test_imports_go_one_way():
    against: list[str] = []
    for found in EXECUTED_IMPORTS:
        importer, imported = part_of(found.importer), part_of(found.imported)
        if importer in ("", imported):
            continue
        if imported == "":
            against.append(f"{found.importer} imports the package's own front door")
        elif (importer, imported) in FORBIDDEN:
            against.append(f"{found.importer} imports {found.imported}: {FORBIDDEN[importer, imported]}")
        elif rank(imported) >= rank(importer) and (importer, imported) not in WITHIN_A_GROUP:
            against.append(f"{found.importer} imports {found.imported}")
    assert against == []


def test_no_module_reaches_itself_through_its_imports():
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in EXECUTED_IMPORTS:
        if found.imported in MODULES:
            graph[found.importer].add(found.imported)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_protocol_part_does_no_input_or_output():
    used = {
        (module, name)
        for module in MODULES
        if part_of(module) == "protocol"
        for name, _ in imported_names(module)
        if name.split(".")[0] in PURE_PROTOCOL_BANS
    }
    assert used == set()


def may_name_it(module: str) -> bool:
    """Whether nobody imports the module without the optional package that it is about."""
    return part_of(module) in ("integrations", "testing")


def test_optional_packages_are_imported_when_they_are_needed_and_in_one_file_each():
    importers: dict[str, set[str]] = {}
    eager: list[str] = []
    for module in MODULES:
        for name, function in imported_names(module):
            package = name.split(".")[0]
            if package == "jumpseat" or package in sys.stdlib_module_names or package in CORE_PACKAGES:
                continue
            if may_name_it(module):
                continue
            importers.setdefault(package, set()).add(module)
            if function is None and name not in names_for_types(module):
                eager.append(f"{module} imports {name} at import time")
    assert eager == []
    assert {package: found for package, found in importers.items() if len(found) > 1} == {}


def test_the_public_names_are_the_ones_that_are_promised():
    assert jumpseat.__all__ == PUBLIC_NAMES
    assert [name for name in PUBLIC_NAMES if not hasattr(jumpseat, name)] == []


def test_importing_the_package_loads_no_server_and_no_database():
    script = "import sys, jumpseat; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded & {"uvicorn", "uvloop", "httptools", "pydantic", "httpx2", "fastapi", "ag_ui"} == set()


def test_every_module_begins_by_saying_what_it_is_for():
    silent = [module for module in MODULES if not ast.get_docstring(tree(module))]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing():
    assert [module for module in MODULES if VAGUE_NAMES & set(module.split("."))] == []


def test_no_function_must_be_scrolled():
    long = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def test_no_exception_is_swallowed_without_a_word():
    silent = [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass) for statement in node.body)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert silent == []


def committed_files() -> list[Path]:
    """What git keeps of this project, or would keep once added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    return [
        path
        for line in listed.splitlines()
        if (path := ROOT / line).is_file() and path.suffix in TEXT_SUFFIXES
    ]


@pytest.mark.parametrize("what", PRIVATE_WORDS)
def test_no_file_names(what: str):
    pattern = re.compile(PRIVATE_WORDS[what])
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in committed_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert hits == []


def test_the_two_test_processes_leave_no_test_out_and_run_none_twice():
    script = (ROOT / "scripts" / "run-tests.sh").read_text()
    ignored = re.findall(r"--ignore=(\S+)", script)
    (named,) = re.findall(r"pytest -q ((?:tests/\S+ ?)+)$", script, re.MULTILINE)
    assert sorted(ignored) == sorted(named.split())
    assert all((ROOT / folder).is_dir() for folder in ignored)
