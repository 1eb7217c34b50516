"""The JSON schema of finops.toml: what is documented fits it, what the file's reader refuses doesn't."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import finops_ai
from finops_ai.cli.schema import settings_schema
from finops_ai.config import MAPPING_SECTIONS, POLICY_SECTIONS, parse_settings
from finops_ai.engine.rules import Rules
from finops_ai.errors import FinopsError
from finops_ai.tables.bill_rules import load_bill_rules
from finops_ai.tables.closing import Gates
from finops_ai.tables.journal import load_accounts
from finops_ai.tables.policy import Policy

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    (page.name, block)
    for page in [*DOCS.glob("*.md"), *DOCS.glob("how-to/*.md")]
    for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
]


@pytest.fixture(scope="module")
def checker():
    import jsonschema  # takes seconds to import, and every process collects this file

    made = settings_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def plain(text):
    return json.loads(json.dumps(tomllib.loads(text), default=str))


def test_the_samples_settings_fit(checker):
    text = (Path(finops_ai.__file__).parent / "sample" / "finops.toml").read_text("utf-8")
    checker.validate(plain(text))


def test_documented_settings_fit(checker):
    tried = 0
    for page, block in BLOCKS:
        try:
            document = plain(block)
        except tomllib.TOMLDecodeError:
            continue  # cut for the page
        if set(document) <= {
            "workspace",
            "engine",
            "limits",
            "plugins",
            "providers",
            *MAPPING_SECTIONS,
            *POLICY_SECTIONS,
        }:
            tried += 1
            found = [e.message for e in checker.iter_errors(document)]
            assert not found, (page, block, found)
    assert tried >= 12


BASE = '[dimensions.team]\n[chargeback]\ndimension = "team"\n'
WRONG = [
    '[dimension.team]\n', '[dimensions.team]\ndefalt = "x"\n', '[[rules]]\nname = "a"\n', '[[rules]]\nset = { team = "" }\n',
    '[[rules]]\nsett = { team = "a" }\n', '[[rules]]\nset = { team = "a" }\nwhen = { model = { prefx = "g" } }\n',
    '[[rules]]\nset = { team = "a" }\nwhen = { any = { model = "m" } }\n', '[lookups.l]\nkey = "k"\nfiles = "x.csv"\n',
    '[[rules]]\nset = { team = "a" }\nwhen = { any = [ { model = { exists = "yes" } } ] }\n',
    '[[shared]]\nwhen = { team = "x" }\ndimension = "team"\nmethod = "even"\nshares = { a = 1 }\n',
    '[[shared]]\nwhen = { team = "x" }\ndimension = "team"\nmethod = "equal"\nto = ["a"]\n',
    '[[shared]]\nwhen = { team = "x" }\ndimension = "team"\nmetric = "money"\n', '[workspace]\ncurency = "USD"\n',
    '[[chargeback.tariffs]]\nmethod = "flat"\n', '[chargeback.incentives]\ncaches = "0.1"\n', '[close]\npriced = "0.9"\nprizes = "0.9"\n',
    '[journal]\nexpenses = "1"\n', '[[bill]]\ndivide = "team"\n', '[[bill]]\npost = "tax"\nwhat = "x"\n',
    '[chargeback.incentives]\nbaseline_months = 99\n', '[[chargeback.tariffs]]\ncards = { output = 1 }\n', '[engine]\nname = "duckdbb"\n',
]  # fmt: skip


def load(document):
    settings = parse_settings(document)
    Rules.load(settings.mapping)
    Policy.load(settings.policies["chargeback"])
    Gates.load(settings.policies.get("close"))
    load_accounts(settings.policies.get("journal"))
    load_bill_rules(settings.policies.get("bill"))


def test_what_is_plain_fits_and_loads(checker):
    load(tomllib.loads(BASE))
    checker.validate(plain(BASE))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused_does_not_fit(text, checker):
    document = BASE.replace("[dimensions.team]\n", "") + text if "dimensions.team" in text else BASE + text
    with pytest.raises(FinopsError):
        load(tomllib.loads(document))
    assert not checker.is_valid(plain(document))
