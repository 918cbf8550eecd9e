"""What is said of releases in several places: versions, formats, and how to report a fault."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import srsly
from packaging.version import Version

import spacy_spert
from spacy_spert.versions import FORMATS, requirement

ROOT = Path(__file__).parents[1]
SECTION = re.compile(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

in_repository = pytest.mark.skipif(not (ROOT / ".github").exists(), reason="this is not the repository")


def read(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf8")


FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = read("pyproject.toml")
REQUIRED = dict(re.findall(r'^    "([a-z-]+)([<>=].*)",$', PROJECT, re.MULTILINE))


class TestChangelog:
    def test_newest_release_is_this_version(self):
        versions = [name for name, _ in SECTION.findall(read("CHANGELOG.md"))]
        assert versions[:2] == ["Unreleased", spacy_spert.__version__]
        assert [Version(name) for name in versions[1:]] == sorted(map(Version, versions[1:]), reverse=True)

    def test_releases_have_dates_and_the_rest_has_none(self):
        dates = dict(SECTION.findall(read("CHANGELOG.md")))
        assert dates.pop("Unreleased") == "" and all(dates.values())

    def test_kinds_of_changes(self):
        assert set(re.findall(r"^### (.*)$", read("CHANGELOG.md"), re.MULTILINE)) <= KINDS


class TestCitation:
    def test_version(self):
        citation = srsly.yaml_loads(read("CITATION.cff"))
        assert citation["version"] == spacy_spert.__version__
        assert citation["date-released"] == dict(SECTION.findall(read("CHANGELOG.md")))[spacy_spert.__version__]

    def test_package_and_paper(self):
        citation = srsly.yaml_loads(read("CITATION.cff"))
        assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
        paper = citation["preferred-citation"]
        assert [author["family-names"] for author in paper["authors"]] == ["Eberts", "Ulges"]
        assert (paper["year"], paper["conference"]["name"]) == (2020, "ECAI 2020")


class TestCompatibility:
    def test_versions(self):
        """The page says the versions that pyproject.toml asks for."""
        rows = dict(re.findall(r"^\| (\S+) \| `(.*?)` ", read("docs", "compatibility.md"), re.MULTILINE))
        assert rows.pop("Python") == re.search(r'requires-python = "(.*)"', PROJECT)[1]
        assert rows == {name: REQUIRED[name.lower()] for name in ("spaCy", "spacy-transformers", "thinc", "torch")}

    def test_formats(self):
        text = read("docs", "compatibility.md")
        table = text[text.index("| format |") :]
        assert re.findall(r"^\| (\d+) \| (\S+) \|$", table, re.MULTILINE) == [
            (str(number), version) for number, version in FORMATS.items()
        ]
        assert f"`{requirement()}`" in text


class TestUniverse:
    def test_entry(self):
        entry = srsly.read_json(ROOT / "universe" / "spacy-spert.json")
        assert {"id", "title", "slogan", "description", "pip", "code_example", "category", "author"} <= set(entry)
        # As the site shows it.
        assert len(entry["slogan"]) <= 80
        compile("\n".join(entry["code_example"]), "entry", "exec")
        assert entry["spacy_version"] == REQUIRED["spacy"].partition(",")[0]

    def test_thumbnail(self):
        entry = srsly.read_json(ROOT / "universe" / "spacy-spert.json")
        image = ElementTree.fromstring(read("universe", entry["thumb"]))
        assert image.get("width") == image.get("height") == "200"
        assert "href" not in read("universe", entry["thumb"])


@in_repository
class TestIssueTemplates:
    @pytest.mark.parametrize(
        "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
    )
    def test_form(self, path):
        form = srsly.yaml_loads(path.read_text(encoding="utf8"))
        assert {"name", "description", "body"} <= set(form)
        names = [field["id"] for field in form["body"]]
        assert len(names) == len(set(names))
        assert all(field["attributes"]["label"] for field in form["body"])

    def test_faults_ask_for_what_one_needs_to_reproduce_them(self):
        form = srsly.yaml_loads(read(".github", "ISSUE_TEMPLATE", "bug.yml"))
        required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
        assert {"what", "reproduce", "versions"} <= required
