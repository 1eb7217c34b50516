"""Commits from git and a forge's export: names, ids and times only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import DataError

SECRET = "do not read me"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository: two commits on main, two on a branch, one by a cloud agent; every message is a secret."""
    root = tmp_path / "clone"
    root.mkdir()
    when = iter(range(1_791_000_000, 1_792_000_000, 3600))

    def git(*words: str, mail: str = "Ada@Example.com") -> None:
        stamp = f"{next(when)} +0200"
        subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=Somebody", "-c", f"user.email={mail}", *words],
            check=True, capture_output=True, env={"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp, "HOME": str(tmp_path)},
        )  # fmt: skip

    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", "https://token:hush@git.example.com/acme/api.git")
    git("commit", "-q", "--allow-empty", "-m", SECRET)
    git("commit", "-q", "--allow-empty", "-m", SECRET, "--trailer", "Claude-Session: s-1")
    git("checkout", "-q", "-b", "feature/x")
    git("commit", "-q", "--allow-empty", "-m", SECRET, "--trailer", "Co-Authored-By: Claude <noreply@anthropic.com>")
    git("checkout", "-q", "main")
    git("checkout", "-q", "-b", "cursor/task")
    git("commit", "-q", "--allow-empty", "-m", SECRET, mail="agent@cursor.com")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "feature/x", "-m", SECRET)
    return root


def test_what_is_read_of_a_clone(clone: Path) -> None:
    frame = fa.read_commits(clone).sort_values("committed_at")
    assert set(frame["repository"]) == {"acme/api"}  # and nothing of the address's token
    assert frame["user_id"].tolist() == ["ada@example.com"] * 3 + ["agent@cursor.com"]
    assert [None if pd.isna(v) else v for v in frame["session_id"]] == [None, "s-1", None, None]
    assert [None if pd.isna(v) else v for v in frame["branch"]] == [
        None,
        None,
        None,
        "cursor/task",
    ]  # feature/x is merged
    assert [None if pd.isna(v) else v for v in frame["tool_name"]] == [None, None, "claude-code", "cursor"]
    assert [None if pd.isna(v) else v for v in frame["agent_name"]] == [None, None, None, "cursor"]
    assert SECRET not in frame.to_csv()
    assert "hush" not in frame.to_csv()


def test_messages_never_leave_git(clone: Path, monkeypatch) -> None:
    from finops_ai.people import reading

    real, seen = reading._git, []
    monkeypatch.setattr(reading, "_git", lambda *a: seen.append(real(*a)) or seen[-1])
    fa.read_commits(clone)
    assert seen
    assert not any(SECRET in text for text in seen)


def test_days_are_a_window(clone: Path) -> None:
    whole = fa.read_commits(clone)
    first = whole["committed_at"].min()
    assert len(fa.read_commits(clone, until=str(first.date()))) == 0
    assert len(fa.read_commits(clone, since=str(first.date()))) == len(whole)


def test_pull_requests_of_an_export_in_both_spellings(clone: Path, tmp_path: Path) -> None:
    commits = fa.read_commits(clone).sort_values("committed_at")["commit_id"].tolist()
    file = tmp_path / "pulls.json"
    gone, squash = "d" * 40, commits[0]
    file.write_text(
        json.dumps([
            {
                "number": 7, "mergedAt": "2026-10-09T10:00:00Z", "headRefName": "feature/x", "title": SECRET, "mergeCommit": {"oid": "e" * 40},
                "commits": [{"oid": commits[2], "messageHeadline": SECRET, "authors": [{"email": "ada@example.com"}], "committedDate": "2026-10-08T10:00:00Z"}],
            },
            {
                "number": 8, "merged_at": "2026-10-10T10:00:00Z", "head": {"ref": "fix/y"}, "base": {"repo": {"full_name": "acme/api"}},
                "merge_commit_sha": squash, "commits": [
                    {"sha": gone, "commit": {"message": SECRET, "author": {"email": "BO@example.com"}, "committer": {"date": "2026-10-07T10:00:00Z"}}}],
            },
            {"number": 9, "merged_at": None, "head": {"ref": "cursor/task"}, "merge_commit_sha": None, "commits": [commits[3]]},
        ]),
        "utf-8",
    )  # fmt: skip
    frame = fa.read_commits(clone, pulls=file).set_index("commit_id")
    assert frame.loc[commits[2], ["pull_request", "branch"]].tolist() == ["acme/api#7", "feature/x"]
    assert squash not in frame.index  # its own commits stand for it
    assert frame.loc[gone, ["pull_request", "user_id", "branch"]].tolist() == ["acme/api#8", "bo@example.com", "fix/y"]
    assert frame.loc[commits[3], "pull_request"] == "acme/api#9"
    assert pd.isna(frame.loc[commits[3], "merged_at"])
    assert SECRET not in frame.to_csv()


def test_what_is_no_clone_and_no_export_is_said(tmp_path: Path, clone: Path) -> None:
    with pytest.raises(DataError, match="can't be read by git"):
        fa.read_commits(tmp_path / "nothing")
    bad = tmp_path / "pulls.json"
    bad.write_text('[{"id": 1}]', "utf-8")
    with pytest.raises(DataError, match="entry 1: a pull request has a number"):
        fa.read_commits(clone, pulls=bad)


def test_what_was_taken_back_and_what_names_two_sessions(tmp_path: Path) -> None:
    """Three commits: the second is taken back; the third is, and that is taken back itself, so it stands. The first names two sessions."""
    root = tmp_path / "api"
    root.mkdir()

    def git(*words: str) -> str:
        base = ["git", "-C", str(root), "-c", "user.name=Somebody", "-c", "user.email=ada@example.com"]
        return subprocess.run([*base, *words], check=True, capture_output=True, text=True).stdout.strip()

    def commit(name: str, *words: str) -> str:
        (root / name).write_text(name)
        git("add", ".")
        git("commit", "-q", "-m", SECRET, *words)
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    one = commit("a", "--trailer", "Claude-Session: s-1", "--trailer", "Claude-Session: s-2")
    two, three = commit("b"), commit("c")
    git("revert", "--no-edit", two)
    first = git("rev-parse", "HEAD")
    git("revert", "--no-edit", three)
    git("revert", "--no-edit", "HEAD")
    frame = fa.read_commits(root)
    assert sorted(frame[frame["commit_id"] == one]["session_id"]) == ["s-1", "s-2"]
    by = {row["commit_id"]: row["reverted_by"] for row in frame.astype(object).to_dict("records")}
    assert by[two] == first
    assert pd.isna(by[three])
    assert SECRET not in frame.to_csv()
    pulls = tmp_path / "pulls.json"
    pulls.write_text(json.dumps([{"number": 1, "mergedAt": "2026-10-09T10:00:00Z", "headRefName": "x", "mergeCommit": {"oid": two},
                                  "commits": [{"oid": "d" * 40, "authors": [{"email": "ada@example.com"}], "committedDate": "2026-10-08T10:00:00Z"}]}]))  # fmt: skip
    squashed = fa.read_commits(root, pulls=pulls).set_index("commit_id")
    assert squashed.loc["d" * 40, "reverted_by"] == first  # who takes the squash back takes back what went into it
