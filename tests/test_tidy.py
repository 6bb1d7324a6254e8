"""The house's conventions, each as a test that fails where one is broken."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import keystead.errors as errors_module
from keystead.crypto.purpose import Purpose
from keystead.errors import KeysteadError

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "keystead"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
# Each entry is a debt with its reason: "path" or "path:function" to why it may be longer.
LONGER: dict[str, str] = {}
READS_ENVIRONMENT = {"node/settings.py", "config/sources.py"}
READS_TIME = {"clock.py"}
SLEEPS_ONLY = {"sleep"}
MUTABLE_CALLS = {
    "list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "deque", "Counter", "Lock", "RLock", "Condition",
    "Event", "local", "WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "count", "Queue", "SimpleQueue",
}  # fmt: skip
MUTATING_METHODS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "clear", "remove"}
ANY_WORD = r"[\w<>{}-]+"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@cache
def text_files() -> dict[Path, str]:
    texts = {}
    for path in tracked():
        try:
            texts[path] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return texts


@cache
def modules() -> dict[str, ast.Module]:
    """Each module of the package by its path below src/keystead."""
    return {path.relative_to(SRC).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SRC.rglob("*.py"))}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def imported(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Module, name taken from it ("" where the module itself is taken), line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name, node.lineno) for alias in node.names)


def is_public(name: str) -> bool:
    return not any(part.startswith("_") and part != "__init__.py" for part in name.split("/"))


def test_no_module_is_longer_than_one_room() -> None:
    long = {
        name: lines
        for name in modules()
        if (lines := len((SRC / name).read_text("utf-8").splitlines())) > MAX_FILE_LINES and name not in LONGER
    }
    assert long == {}


def test_no_function_is_longer_than_one_screen() -> None:
    long = {
        f"{name}:{node.name}": lines
        for name, tree in modules().items()
        for node in functions(tree)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert {place: lines for place, lines in long.items() if place not in LONGER} == {}


def test_every_listed_exception_is_still_needed() -> None:
    places = set(modules()) | {f"{name}:{node.name}" for name, tree in modules().items() for node in functions(tree)}
    assert set(LONGER) <= places


@cache
def said_by_a_port() -> set[str]:
    """Methods that a Protocol of the package documents; whoever fills the port need not say it again."""
    return {
        method.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for method in functions(node)
        if ast.get_docstring(method)
    }


def undocumented(name: str, body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        marks = {ast.unparse(mark) for mark in node.decorator_list}
        exempt = any(mark.endswith(("overload", ".setter")) for mark in marks)
        exempt = exempt or (prefix != "" and node.name in said_by_a_port())
        if not exempt and ast.get_docstring(node) is None:
            yield f"{name}:{node.lineno}: {prefix}{node.name}"
        # A port of one method, or of names to read, says all in its own docstring.
        if isinstance(node, ast.ClassDef) and not is_small_port(node):
            yield from undocumented(name, node.body, f"{node.name}.")


def is_small_port(node: ast.ClassDef) -> bool:
    methods = [each for each in node.body if isinstance(each, Function)]
    told = all(any(ast.unparse(mark) == "property" for mark in each.decorator_list) for each in methods)
    return any("Protocol" in ast.unparse(base) for base in node.bases) and (len(methods) == 1 or told)


def test_whatever_is_public_says_what_it_does() -> None:
    missing = [
        line for name, tree in modules().items() if is_public(name) for line in undocumented(name, tree.body, "")
    ]
    missing += [name for name, tree in modules().items() if tree.body and ast.get_docstring(tree) is None]
    assert missing == []


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        callee = value.func
        called = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
        return called in MUTABLE_CALLS
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def bindings(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None, int]]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value, node.lineno  # type: ignore[union-attr]


def changes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that some function changes in place, or declares global."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from ((name, node.lineno) for name in node.names)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield ast.unparse(node.value), node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING_METHODS:
            yield ast.unparse(node.func.value), node.lineno


def test_no_module_holds_state_that_changes() -> None:
    held = []
    for name, tree in modules().items():
        constants = set()
        for bound, value, line in bindings(tree):
            if is_mutable(value):
                constants.add(bound)
                if not (bound.isupper() and not isinstance(value, ast.Call)) and bound != "__all__":
                    held.append(f"{name}:{line}: {bound} is mutable")
        held += [f"{name}:{line}: {bound} is changed" for bound, line in changes(tree) if bound in constants]
        held += [f"{name}:{node.lineno}: global" for node in ast.walk(tree) if isinstance(node, ast.Global)]
        held += [
            f"{name}:{node.lineno}: {node.name} keeps its answers for ever"
            for node in tree.body
            # With nothing to tell calls apart, what is kept is a constant that is made late.
            if isinstance(node, Function) and ast.unparse(node.args)
            if any("cache" in ast.unparse(mark) for mark in node.decorator_list)
        ]
    assert held == []


def test_modules_are_named_for_a_noun() -> None:
    banned = {"util", "utils", "helper", "helpers", "common", "misc", "base", "core", "manager"}
    named = {part for name in modules() for part in re.split(r"[/.]", name)}
    assert named & banned == set()


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    left = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
        for path, text in text_files().items()
        if path.suffix in {".py", ".md", ".toml", ".sql", ".mjs", ".js"} or path.name == "Makefile"
        for hit in words.finditer(text)
    ]
    assert left == []


def test_whoever_silences_a_rule_names_it_and_a_linters_rule_with_its_reason() -> None:
    silent = re.compile(r"# (?:noqa(?!: [A-Z]+\d+(?:, ?[A-Z]+\d+)* --? \w)|type: ignore(?!\[[a-z, -]+\]))")
    found = [
        f"{name}:{number}"
        for name in modules()
        for number, line in enumerate((SRC / name).read_text("utf-8").splitlines(), 1)
        if silent.search(line)
    ]
    assert found == []


def test_only_the_clock_reads_the_time() -> None:
    found = []
    for name, tree in modules().items():
        if name in READS_TIME:
            continue
        found += [
            f"{name}:{line}: {module}"
            for module, taken, line in imported(tree)
            if module == "time" and taken not in SLEEPS_ONLY
        ]
        found += [
            f"{name}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
            if ast.unparse(node.value).split(".")[-1] in {"datetime", "date"}
        ]
    assert found == []


def test_only_settings_and_sources_read_the_environment() -> None:
    words = {"os.environ", "os.getenv", "os.environb", "os.getenvb", "os.putenv"}
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if name not in READS_ENVIRONMENT
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in words
    ]
    found += [
        f"{name}:{line}"
        for name, tree in modules().items()
        for module, taken, line in imported(tree)
        if module == "os" and taken in {"environ", "getenv", "environb"} and name not in READS_ENVIRONMENT
    ]
    assert found == []


def test_randomness_comes_from_one_place() -> None:
    found = [
        f"{name}:{line}: {module}"
        for name, tree in modules().items()
        for module, _, line in imported(tree)
        if module in {"secrets", "random"}
    ]
    found += [
        f"{name}:{node.lineno}: os.urandom"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.urandom", "os.getrandom"}
        if not name.startswith("crypto/")
    ]
    assert found == []


def test_no_check_of_the_package_vanishes_under_optimization() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        if not name.startswith("testing/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def drawn_errors() -> dict[str, tuple[str, str]]:
    """Each error of the drawing in errors.py: the error above it, and its code ("" for a branch)."""
    drawn: dict[str, tuple[str, str]] = {}
    path = ["KeysteadError"]
    for line in (errors_module.__doc__ or "").splitlines():
        found = re.match(r"([│ ]*)[├└]── (\w+)(?:\s+(KS\d{4}))?", line)
        if found:
            depth = len(found.group(1)) // 4
            path = [*path[:depth], found.group(2)]
            drawn[found.group(2)] = (path[depth - 1], found.group(3) or "")
    return drawn


def real_errors(parent: type[KeysteadError]) -> dict[str, tuple[str, str]]:
    real = {}
    for error in parent.__subclasses__():
        if error.__module__ == errors_module.__name__:
            real[error.__name__] = (parent.__name__, error.__dict__.get("code", ""))
            real |= real_errors(error)
    return real


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    assert drawn_errors() == real_errors(KeysteadError)


def test_every_error_that_is_raised_has_a_code_of_its_own() -> None:
    real = real_errors(KeysteadError)
    branches = {above for above, _ in real.values()}
    codes = [code for name, (_, code) in real.items() if name not in branches]
    assert all(codes)
    assert len(codes) == len(set(codes))


def test_errors_are_defined_in_one_place() -> None:
    elsewhere = [
        f"{name}:{node.lineno}: {node.name}"
        for name, tree in modules().items()
        if name != "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any(re.search(r"(Error|Exception)$", ast.unparse(base)) for base in node.bases)
    ]
    assert elsewhere == []


@pytest.mark.parametrize("entry", ["keystead", "keystead.errors"])
def test_an_import_does_no_work_and_brings_nothing_heavy(entry: str) -> None:
    heavy = ("click", "ssl", "http", "asyncio", "sqlite3", "pydantic", "subprocess", "email", "urllib.request")
    code = f"import sys, {entry}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def label_patterns() -> dict[str, re.Pattern[str]]:
    """Every derivation label in the package, with what is filled in at run time as any word."""
    patterns = {}
    for name, tree in modules().items():
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            spelled = ""
            if isinstance(node, ast.Constant) and id(node) not in inside:
                value = node.value
                spelled = re.escape(value.decode("latin-1") if isinstance(value, bytes) else str(value))
            elif isinstance(node, ast.JoinedStr):
                spelled = "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[\w<>{}-]+"
                    for part in node.values
                )
            if re.match(r"keystead/\w?", spelled) and "\\ " not in spelled and "\n" not in spelled:
                patterns[f"{name}:{node.lineno}: {spelled}"] = re.compile(spelled)
    return patterns


def test_every_derivation_label_is_written_down() -> None:
    written = (ROOT / "docs" / "formats.md").read_text("utf-8")
    assert [place for place, pattern in label_patterns().items() if not pattern.search(written)] == []
    assert [purpose for purpose in Purpose if f"/{purpose.value}" not in written] == []


def slugs(text: str) -> set[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return {
        re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", prose, flags=re.M)
    }


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page, text in text_files().items():
        if page.suffix != ".md":
            continue
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (page.parent / file).resolve() if file else page
            if not there.exists() or (anchor and anchor not in slugs(there.read_text("utf-8"))):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_no_file_names_a_place_that_only_one_machine_has() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "npmjs" + ".org", "debian" + ".org", "/opt/" + "pypi"]
    paths = [re.escape(f"{place}/") for place in (ROOT, Path.home(), "/work/" + "main") if len(str(place)) > 3]
    local = re.compile("|".join([*map(re.escape, hosts), *(rf"(?<![\w>}}]){path}" for path in paths)]))
    named = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path, text in text_files().items()
        for hit in local.finditer(text)
    ]
    assert named == []


def test_lock_files_hold_exact_versions_with_hashes_and_no_address() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["bench.txt", "campaign.txt", "run.txt", "test.txt"]
    for lock in locks:
        text = lock.read_text("utf-8")
        assert not re.search(r"\w+://|^\s*-(?!-hash)", text, flags=re.M), lock.name
        entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.M).strip())
        assert all(re.match(r"[a-z0-9._-]+==[\w.]+ \\\n(\s+--hash=sha256:[0-9a-f]{64}( \\\n)?)+$", e) for e in entries)


def test_lock_files_agree_with_each_other() -> None:
    pins: dict[str, set[str]] = {}
    for lock in (ROOT / "requirements").glob("*.txt"):
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock.read_text("utf-8"), flags=re.M):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


def test_every_test_asserts_something() -> None:
    asserting = re.compile(r"\bassert\b|raises|check|expect")
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in functions(ast.parse(path.read_text("utf-8")))
        if node.name.startswith("test_") and not asserting.search(ast.unparse(node))
    ]
    assert silent == []
