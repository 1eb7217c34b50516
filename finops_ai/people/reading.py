"""Commits from a git repository and a forge's export: names, ids and times; never a message, a diff or a file's name."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from finops_ai.errors import DataError
from finops_ai.frames import CommitFrame, conform
from finops_ai.periods import instant
from finops_ai.shapes import Shape, misfit

#: trailers of a commit that name the session it came from
SESSION_TRAILERS = ("Claude-Session", "Codex-Session", "Cursor-Conversation", "Copilot-Session", "Session-Id")
#: e-mail addresses that tools sign as a second author, and whose they are
_CO_AUTHORS = {
    "noreply@anthropic.com": "claude-code",
    "cursoragent@cursor.com": "cursor",
    "copilot@github.com": "copilot",
    "codex@openai.com": "codex",
}
#: beginnings of branches that cloud agents make
_AGENTS = {"copilot/": "copilot", "codex/": "codex", "cursor/": "cursor", "claude/": "claude-code"}
_FIELD, _RECORD = "\x1f", "\x1e"
#: what git writes of itself where it takes a commit back
_REVERTS = re.compile(r"This reverts commit ([0-9a-f]{40})")
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def read_commits(
    path: str | Path,
    *,
    pulls: str | Path | None = None,
    repository: str | None = None,
    since: dt.date | str | None = None,
    until: dt.date | str | None = None,
    trailers: Sequence[str] = SESSION_TRAILERS,
) -> pd.DataFrame:
    """Commits of a local clone as a commit frame, with the pull requests that a forge's export tells of.

    Git is asked for hashes, authors' e-mails, times, refs and the trailers named; of commits that say "This reverts commit" it is asked for
    which, and of that text only the hash is kept, so no message can get anywhere. Merge commits are left out. A commit of the default
    branch has no branch: it came from some other. A commit that names several sessions is one row of each.

    Args:
        path: a clone (bare ones, too).
        pulls: pull requests as JSON or NDJSON: `gh pr list --state all --json number,mergedAt,headRefName,mergeCommit,commits`, or
            what the REST API lists, with `commits` added. Of a squashed pull request its own commits are taken, not the squash.
        repository: owner/name; by default that of the remote, else the folder's.
        since: first day.
        until: day after the last.
        trailers: names of trailers whose value is the session a commit came from.

    Returns:
        A commit frame.

    Raises:
        DataError: no repository, no git, or an export that isn't one.

    Example:
        >>> import subprocess, tempfile
        >>> import finops_ai as fa
        >>> folder = tempfile.mkdtemp()
        >>> def git(*words): return subprocess.run(["git", "-C", folder, "-c", "user.name=A", "-c", "user.email=a@example.com", *words], check=True, capture_output=True)
        >>> _ = git("init", "-q"), git("commit", "-q", "--allow-empty", "-m", "never read", "--trailer", "Claude-Session: s-1")
        >>> fa.read_commits(folder, repository="acme/api")[["repository", "user_id", "session_id"]].values.tolist()
        [['acme/api', 'a@example.com', 's-1']]
    """
    root = Path(path).expanduser()
    name = repository or _remote_name(root)
    default = _default_branch(root)
    window = [
        f"--{word}={instant(day).isoformat()}" for word, day in (("since", since), ("until", until)) if day is not None
    ]
    wanted = "".join(f"%x1f%(trailers:key={key},valueonly,separator=%x2C)" for key in trailers)
    authors = "%x1f%(trailers:key=Co-Authored-By,valueonly,separator=%x2C)"
    form = f"--format=%H%x1f%ae%x1f%ct%x1f%S{wanted}{authors}%x1e"
    found: dict[str, dict[str, Any]] = {}
    apart = ["--branches", "--remotes", *(["--not", default] if default else [])]
    for refs, named in ((apart, True), ([default] if default else [], False)):
        if not refs:
            continue
        text = _git(root, "log", "--no-merges", "--source", "--no-show-signature", *window, form, *refs, "--")
        for record in text.split(_RECORD):
            fields = record.strip("\n").split(_FIELD)
            if len(fields) == 5 + len(trailers) and _HASH.fullmatch(fields[0]):
                found.setdefault(fields[0], _commit(fields, name, trailers, named))
    rows = list(found.values())
    gone = _reverted(root, window, [default] if default else ["--branches", "--remotes"])
    if pulls is not None:
        told = read_pulls(Path(pulls), name)
        for pull in told:  # whoever reverts a squash or a merge takes back what went into it
            if pull["merge"] in gone:
                gone |= {commit: gone[pull["merge"]] for commit, _, _ in pull["commits"] if commit not in gone}
        rows = _with_pulls(rows, told)
    rows = [
        row | {"session_id": session, "reverted_by": gone.get(row["commit_id"])}
        for row in rows
        for session in row.get("sessions") or [None]
    ]
    names = list(CommitFrame.to_schema().columns)
    columns = {
        column: [row.get(column) for row in rows]
        for column in names
        if any(row.get(column) is not None for row in rows)
    }
    return conform(columns if rows else {}, CommitFrame, source=str(path))


def _commit(fields: Sequence[str], repository: str, trailers: Sequence[str], named: bool) -> dict[str, Any]:
    commit, mail, seconds, ref, *rest = fields
    sessions = [part.strip() for value in rest[: len(trailers)] for part in value.split(",") if part.strip()]
    tool = next((tool for address, tool in _CO_AUTHORS.items() if address in rest[-1].lower()), None)
    branch = re.sub(r"^(refs/)?(heads/|(remotes/)?origin/|remotes/[^/]+/)", "", ref) if named and ref else None
    agent = next((agent for begin, agent in _AGENTS.items() if branch and branch.startswith(begin)), None)
    return {
        "repository": repository, "branch": branch, "commit_id": commit, "user_id": mail.strip().lower() or None,
        "committed_at": dt.datetime.fromtimestamp(int(seconds), dt.UTC), "sessions": list(dict.fromkeys(sessions)),
        "tool_name": tool or agent, "agent_name": agent, "source": "git",
    }  # fmt: skip


def _reverted(root: Path, window: Sequence[str], refs: Sequence[str]) -> dict[str, str]:
    """Hash -> that of the commit which took it back on these branches, where that one was not taken back itself."""
    words = [
        "log",
        "--no-show-signature",
        *window,
        "-E",
        "--grep=This reverts commit [0-9a-f]{40}",
        "--format=%H%x1f%b%x1e",
    ]
    taken: dict[str, list[str]] = {}
    for record in _git(root, *words, *refs, "--").split(_RECORD):
        commit, _, text = record.strip("\n").partition(_FIELD)
        for other in _REVERTS.findall(text):
            taken.setdefault(other, []).append(commit)

    def standing(commit: str, above: frozenset[str] = frozenset()) -> str | None:
        """The commit that takes this one back and still stands."""
        by = (c for c in taken.get(commit, []) if c not in above)
        return next((c for c in by if standing(c, above | {commit}) is None), None)

    return {commit: by for commit in taken if (by := standing(commit))}


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "--no-pager", *words], capture_output=True, timeout=600, check=False
        )
    except FileNotFoundError:
        raise DataError("git isn't installed, or not on the PATH; reading commits needs it.") from None
    except subprocess.TimeoutExpired:
        raise DataError(f"git took more than ten minutes on {root}; give since=.") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DataError(f"{root} can't be read by git: {said[-1] if said else 'no reason given'}.")
    return done.stdout.decode("utf-8", "replace")


def _remote_name(root: Path) -> str:
    """owner/name of the remote, without the address and whatever secrets it has."""
    _git(root, "rev-parse", "--git-dir")
    try:
        address = _git(root, "config", "--get", "remote.origin.url").strip()
    except DataError:
        address = ""
    match = re.search(r"([^/:@]+/[^/:@]+?)(\.git)?/?$", address)
    return match[1] if match else root.resolve().name.removesuffix(".git")


def _default_branch(root: Path) -> str | None:
    for ref in ("refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master", "HEAD"):
        try:
            _git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except DataError:
            continue
        return ref
    return None


_COMMIT: Shape = {
    "commit": {"author": {"email": "text"}, "committer": {"date": "text"}},
    "committedDate": "text",
    "authors": ["any"],
}
_PULL: Shape = {
    "number!": "whole", "merged_at": "text", "mergedAt": "text", "merge_commit_sha": "text", "mergeCommit": {"oid": "text"},
    "head": {"ref": "text"}, "headRefName": "text", "base": {"repo": {"full_name": "text"}}, "commits": "any",
}  # fmt: skip


def read_pulls(path: Path, repository: str) -> list[dict[str, Any]]:
    """Pull requests of an export: number, branch, when merged, which commits; messages and titles are passed over."""
    try:
        text = path.expanduser().read_text("utf-8-sig")
        if text.lstrip().startswith("["):
            records = json.loads(text)
        else:
            records = [json.loads(line) for line in text.split("\n") if line.strip()]
        records = [record for one in records for record in (one if isinstance(one, list) else [one])]
    except FileNotFoundError:
        raise DataError(f"There is no file {path} of pull requests. Check the path.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON of pull requests: {error}.") from None
    out = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping) or not isinstance(record.get("number"), int):
            raise DataError(
                f"{path}, entry {number}: a pull request has a number; this has {sorted(record)[:5] if isinstance(record, Mapping) else record!r}."
            )
        base = _inside(record, "base", "repo", "full_name")
        name = base if isinstance(base, str) else repository
        if wrong := misfit(record, _PULL, f"entry {number}"):
            raise DataError(f"{path}: {wrong}.")
        merged = record.get("merged_at", record.get("mergedAt"))
        merge = record.get("merge_commit_sha") or _inside(record, "mergeCommit", "oid")
        out.append({
            "pull_request": f"{name}#{record['number']}", "repository": name, "branch": _inside(record, "head", "ref") or record.get("headRefName"),
            "merged_at": instant(merged) if merged else None, "merge": merge, "commits": list(_own(record.get("commits"))),
        })  # fmt: skip
    return out


def _own(commits: object) -> Iterable[tuple[str, str | None, Any]]:
    """Hash, author and time of a pull request's own commits."""
    for one in commits if isinstance(commits, list) else []:
        if isinstance(one, str):
            yield one, None, None
        elif isinstance(one, Mapping) and not misfit(one, _COMMIT):
            authors = one.get("authors")
            first = authors[0] if isinstance(authors, list) and authors and isinstance(authors[0], Mapping) else {}
            mail = _inside(one, "commit", "author", "email") or first.get("email")
            when = _inside(one, "commit", "committer", "date") or one.get("committedDate")
            commit = one.get("sha") or one.get("oid")
            if isinstance(commit, str):
                yield commit, mail, when


def _inside(record: object, *keys: str) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def _with_pulls(rows: list[dict[str, Any]], pulls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Commits with their pull request; those that a squash took off the branches come back, the squash itself goes."""
    known = {row["commit_id"]: row for row in rows}
    for pull in pulls:
        told = {"pull_request": pull["pull_request"], "merged_at": pull["merged_at"]}
        own = [commit for commit, _, _ in pull["commits"]]
        for commit, mail, when in pull["commits"]:
            if commit not in known and when and _HASH.fullmatch(commit):
                known[commit] = {
                    "repository": pull["repository"], "commit_id": commit, "user_id": (mail or "").strip().lower() or None,
                    "committed_at": instant(when), "source": "file",
                }  # fmt: skip
            if commit in known:
                known[commit] |= told | {"branch": known[commit].get("branch") or pull["branch"]}
        if pull["merge"] in known and pull["merge"] not in own:
            if any(commit in known for commit in own):
                known[pull["merge"]]["squash"] = True
            else:
                known[pull["merge"]] |= told | {"branch": pull["branch"]}
    return [row for row in known.values() if not row.get("squash")]


__all__ = ["SESSION_TRAILERS", "read_commits"]
