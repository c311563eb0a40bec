"""The rules that can be read off one Python file. Each returns what breaks it, as `path:line what`."""

import ast
from collections.abc import Iterator

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
# May do what is banned elsewhere, each for its reason.
READS_ENVIRONMENT = ("__main__.py", "settings.py")
OWNS_TASKS = ("tasks.py",)
EDGES = (
    "api/hosts/",
    "agent/convert",
    "agent/server",
    "agent/guest_calls",
    "nestbox/agent_calls.py",
    "tests/",
    "benchmarks/",
)
WAITS_IN_TESTS = ("tests/waiting.py",)
# A sleep that is the subject of the test (a slow reader, a clock) says so on its line.
NOT_A_WAIT = "# not a wait:"

_IMPURE_MODULES = {
    *("asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
    *("asyncpg", "google", "grpc", "httpx", "proto", "pydantic", "sqlalchemy", "sqlmodel", "starlette", "strawberry"),
    "structlog",
}
_CLOCKS = {"now", "utcnow", "today", "fromtimestamp"}
_MOCKS = {"mock", "unittest.mock", "pytest_mock"}

Found = Iterator[str]


def file_length(path: str, source: str) -> Found:
    """A file is never over 400 lines."""
    count = len(source.splitlines())
    if count > FILE_LINES_MAX:
        yield f"{path}: {count} lines"


def function_length(path: str, source: str) -> Found:
    """A function is under 60 lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count >= FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno} {node.name} has {count} lines"


def module_name(path: str, source: str) -> Found:
    """A module is named after a noun that it serves."""
    for part in path.removesuffix(".py").split("/"):
        if BANNED_NAMES.intersection(part.split("_")) and part not in _NOUNS:
            yield f"{path}: {part}"


# The base image and the base template are what they are called.
_NOUNS = {"base_image", "base_template", "base_templates", "test_base_image", "test_base_templates"}


def environment(path: str, source: str) -> Found:
    """The environment is read in `__main__` or settings only."""
    if path.endswith(READS_ENVIRONMENT):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and _dotted(node) in ("os.environ", "os.getenv", "os.environb"):
            yield f"{path}:{node.lineno} {_dotted(node)}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            for name in node.names:
                if name.name in ("environ", "getenv", "environb"):
                    yield f"{path}:{node.lineno} from os import {name.name}"


def tasks(path: str, source: str) -> Found:
    """A task lives in a TaskGroup, or belongs to the class that tracks them."""
    if path.endswith(OWNS_TASKS):
        return
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)):
            continue
        name = _dotted(node.func)
        owner, _, method = name.rpartition(".")
        if name == "ensure_future" or (
            method in ("create_task", "ensure_future") and ("asyncio" in owner or "loop" in owner.split(".")[-1])
        ):
            yield f"{path}:{node.lineno} {name}"


def mocks(path: str, source: str) -> Found:
    """Fakes, not mocks."""
    for module, line in _imports(source):
        if module in _MOCKS or module.startswith("unittest.mock."):
            yield f"{path}:{line} {module}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg) and node.arg == "mocker":
            yield f"{path}:{node.lineno} mocker"


def sleeps(path: str, source: str) -> Found:
    """Tests wait for a condition with a deadline, in one place, and never sleep. (`asyncio.sleep(0)` yields.)"""
    if path in WAITS_IN_TESTS:
        return
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _dotted(node.func) in ("time.sleep", "asyncio.sleep", "sleep"):
            yields = node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            if not yields and NOT_A_WAIT not in lines[node.lineno - 1]:
                yield f"{path}:{node.lineno} sleeps"


def protobuf(path: str, source: str) -> Found:
    """Protobuf stops at the edge."""
    if path.startswith(EDGES):
        return
    for module, line in _imports(source):
        if module.split(".")[0] == "proto" or module.startswith("google.protobuf"):
            yield f"{path}:{line} imports {module}"


def purity(path: str, source: str) -> Found:
    """No I/O, no clock, no await, no ORM, no protobuf: `now` is an argument."""
    for module, line in _imports(source):
        if module.split(".")[0] in _IMPURE_MODULES:
            yield f"{path}:{line} imports {module}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor):
            yield f"{path}:{node.lineno} awaits"
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name in ("open", "print", "input") or (
                name.rpartition(".")[2] in _CLOCKS and name.split(".")[0] in ("datetime", "date")
            ):
                yield f"{path}:{node.lineno} calls {name}"


def docstrings(path: str, source: str) -> Found:
    """Whatever others may use says what it is: modules, and public classes and functions in them."""
    tree = ast.parse(source)
    if tree.body and ast.get_docstring(tree) is None:
        yield f"{path}: the module"
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
            and not _is_described(node)
        ):
            yield f"{path}:{node.lineno} {node.name}"


def _is_described(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A GraphQL type says what it is to clients, by `description`; the schema's own tests ask for that."""
    return any(_dotted(decorator).startswith("strawberry.") for decorator in node.decorator_list)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return _dotted(node.func)
    return "?"


def _imports(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            if node.module == "unittest":
                for name in node.names:
                    yield f"unittest.{name.name}", node.lineno
