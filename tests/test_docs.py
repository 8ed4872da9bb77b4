"""What the documents say is there, and what is there is said."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import profile
from drivers.decode import DECODERS
from drivers.registry import FAMILIES
from drivers.simlot.faults import FAULTS, names
from parking.errors import Code

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "seeds").rglob("*.md")])
PACKAGES = ("parking", "drivers", "bridge", "cloud", "console", "demo")
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠]")


def text_of(*path: str) -> str:
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


# --- errors ----------------------------------------------------------------------------------------------------------

ERRORS = {
    section.split("\n", 1)[0].strip(): section
    for section in re.split(r"^#{2,3} ", text_of("docs", "errors.md"), flags=re.MULTILINE)
}


@pytest.mark.parametrize("code", Code)
def test_every_error_code_says_what_happened_whether_it_is_certain_and_what_to_do(code: Code) -> None:
    section = ERRORS[code.value]
    for question in ("- **Happened:** ", "- **Certain:** ", "- **Do:** "):
        assert len(section.partition(question)[2]) > 10
    assert JAPANESE.search(section.split("\n")[1])


def test_no_heading_is_left_of_a_code_that_is_gone() -> None:
    named = {heading for heading in ERRORS if re.fullmatch(r"[a-z]+(-[a-z]+)*", heading)}
    assert named == {code.value for code in Code}


@pytest.mark.parametrize("code", Code)
def test_the_document_knows_which_codes_this_version_raises(code: Code) -> None:
    sources = [
        file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "phone_errors" not in file.name
    ]
    raised = any(f"Code.{code.name}" in file.read_text(encoding="utf-8") for file in sources)
    assert raised != ("*Not raised by this version.*" in ERRORS[code.value])


# --- links and names -------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r'(?:\]\(|src=")([^)"\s]+)[)"]', prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (document.parent / name).resolve() if name else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_document_names_are_there(document: Path) -> None:
    folders = "|".join((*PACKAGES, "bench", "tests", "seeds", "docs", "requirements"))
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", document.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_documents_that_programs_send_people_to_are_there() -> None:
    named = {
        name
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for name in re.findall(r"docs/[\w./-]+\.md", file.read_text(encoding="utf-8"))
    }
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_every_decision_is_linked_numbered_once_and_says_its_parts() -> None:
    index = text_of("docs", "decisions", "README.md")
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert f"]({path.name})" in index
        assert text.startswith(f"# {path.name[:4]} ")
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]
        assert len(text.splitlines()) <= 60


def test_both_languages_have_a_readme_with_the_same_parts() -> None:
    english, japanese = text_of("README.md"), text_of("README.ja.md")
    assert "(README.ja.md)" in english
    assert "(README.md)" in japanese
    for text in (english, japanese):
        assert "    python3 dev.py demo\n    python3 dev.py test\n" in text
        for picture in ("docs/images/console.png", "docs/images/phone.png"):
            assert f'src="{picture}"' in text
            assert (ROOT / picture).is_file()
    assert len(re.findall(r"^## ", english, re.MULTILINE)) == len(re.findall(r"^## ", japanese, re.MULTILINE))


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert re.search(r"^## \[Unreleased\]\n\n### \w+\n\n- \w", text_of("CHANGELOG.md"), re.MULTILINE)


# --- security --------------------------------------------------------------------------------------------------------

ASVS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\| \d+\.\d+\.\d+ \|.*$", text_of("docs", "asvs.md"), re.MULTILINE)
]
STATES = ("met", "partly", "not met", "n/a")
LEVEL_2 = {1: 27, 2: 11, 3: 19, 4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 9: 7, 11: 14, 12: 9, 13: 13, 14: 9, 15: 13, 16: 16}
"""How many requirements of levels 1 and 2 each chapter of ASVS 5.0.0 has; 10 and 17 do not apply."""


@pytest.mark.parametrize("name", ["asvs.md", "security.md"])
def test_every_test_that_a_security_table_names_is_there(name: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of("docs", name))
    assert len(named) > 40
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).is_file() or (test and f"def {test}(" not in text_of(path))
    ]
    assert missing == []


def test_every_requirement_stands_in_the_table_once() -> None:
    ids = [row[0] for row in ASVS]
    assert len(set(ids)) == len(ids)
    chapters = [int(one.partition(".")[0]) for one in ids]
    assert {chapter: chapters.count(chapter) for chapter in chapters} == LEVEL_2


def test_every_requirement_has_its_state_and_what_shows_it() -> None:
    assert {len(row) for row in ASVS} == {5}
    for number, _, state, how, shown_by in ASVS:
        assert state in STATES, number
        assert state != "met" or "`tests/" in shown_by, number
        assert state == "met" or len(how) > 3, number


def test_the_summary_counts_what_the_table_says() -> None:
    counted = ", ".join(f"{sum(row[2] == state for row in ASVS)} {state}" for state in STATES)
    assert f"Summary: {len(ASVS)} requirements, {counted}." in text_of("docs", "asvs.md")


# --- profiles --------------------------------------------------------------------------------------------------------


def tables(kind: type[Any]) -> set[type[Any]]:
    """All Structs of which a profile is made."""
    found = {kind}
    for field in msgspec.structs.fields(kind):
        for each in msgspec.inspect.multi_type_info((field.type,)):
            inner = getattr(each, "item_type", each)
            if isinstance(inner, msgspec.inspect.StructType):
                found |= tables(inner.cls)
    return found


def test_every_key_of_a_profile_is_documented() -> None:
    text = text_of("docs", "lot-profile.md")
    keys = {field.encode_name for table in tables(profile.LotProfile) for field in msgspec.structs.fields(table)}
    assert {"radius_m", "settle_done_when", "poll_seconds", "bay"} <= keys
    assert {key for key in keys if not re.search(rf"[`\[.]{key}\b", text)} == set()


# --- commands --------------------------------------------------------------------------------------------------------


def test_the_commands_of_the_documents_are_subcommands_of_dev_py() -> None:
    done = subprocess.run([sys.executable, ROOT / "dev.py", "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^\s+(?:command\s+)?(\w+) {2,}[A-Z]", done.stdout, re.MULTILINE))
    named = {name for path in DOCUMENTS for name in re.findall(r"dev\.py (\w+)", path.read_text(encoding="utf-8"))}
    assert {"demo", "test", "check"} <= named
    assert named <= known


def program_of(line: str) -> tuple[str, ...]:
    """`python -m cloud lot add PROFILE --config …` → ("cloud", "lot", "add")."""
    words = line.split()
    end = next((at for at, word in enumerate(words) if not re.fullmatch("[a-z][a-z-]*", word)), len(words))
    return tuple(words[:end])


COMMANDS = sorted(
    {
        program_of(line)
        for path in DOCUMENTS
        for line in re.findall(
            r"python3? -m ((?:cloud|bridge|console|drivers|demo)\b[^`\n|]*)", path.read_text(encoding="utf-8")
        )
    }
)


def test_the_documents_name_every_program() -> None:
    assert {command[0] for command in COMMANDS} == {"cloud", "bridge", "console", "drivers"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_program_of_the_documents_knows_its_command_line(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=25,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


# --- the installer's tools --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["installers-tools.md", "installers-tools.ja.md"])
def test_the_tools_have_a_page_in_each_language_that_names_them_all(name: str) -> None:
    text = text_of("docs", name)
    tools = re.findall(r"^\| \d+ \| `(\w+)", text, re.MULTILINE)
    done = subprocess.run([sys.executable, "-m", "drivers", "--help"], cwd=ROOT, capture_output=True, encoding="utf-8")
    known = re.findall(r"^ {4}(\w+) {2,}[a-z]", done.stdout, re.MULTILINE)
    assert len(known) == 10
    assert {*tools, "families"} == set(known)
    assert [codec for codec in DECODERS if f"`{codec}`" not in text] == []
    assert text_of("README.ja.md" if ".ja." in name else "README.md").count(f"(docs/{name})")


def test_the_page_of_the_tools_lists_every_mishap() -> None:
    rows = dict.fromkeys(FAULTS, "")
    for family, said in re.findall(
        r"^\| `(\w+)`[^|]*\| (`.*) \|$", text_of("docs", "installers-tools.md"), re.MULTILINE
    ):
        rows[family] += said
    for family, kinds in FAULTS.items():
        assert set(re.findall(r"`([\w=]+)`", rows[family])) == {name for kind in kinds for name in names(kind)}


def test_the_options_of_each_family_stand_in_the_page_of_the_profile_and_in_its_readme() -> None:
    section = text_of("docs", "lot-profile.md").partition("### Options of each family")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \[`(\w+)`\]\S*([^|]*)\|([^|]*)\|([^|]*)\|", section, re.MULTILINE)
    assert {row[0] for row in rows} == set(FAMILIES)
    for family, _, needed, often in rows:
        readme = text_of("drivers", family, "README.md")
        options = re.findall(r"`([a-z_]+)`", needed + often)
        assert [option for option in options if not re.search(rf"\b{option}\b", readme)] == [], family
