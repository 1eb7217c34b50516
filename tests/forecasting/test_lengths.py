"""Output lengths and the temperature effect, on logs made with known lengths."""

import numpy as np
import pandas as pd
import pytest

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting import OutputLengths, learn_temperature, prompt_features, request_lengths, temperature_factor


def log(seed=0, count=4000):
    """Length = 50 x 1.5 if code x 2 on the talkative model x the template's own, log-noise 0.3."""
    random = np.random.default_rng(seed)
    code = random.integers(0, 2, count)
    model = random.choice(["terse", "talkative"], count)
    template = random.integers(0, 20, count)
    own = np.exp(np.linspace(-1, 1, 20))[template]
    tokens = 50 * 1.5**code * np.where(model == "talkative", 2, 1) * own * np.exp(0.3 * random.standard_normal(count))
    return pd.DataFrame(
        {"model": model, "p_code": code, "prompt_id": [f"t{t}" for t in template], "output_tokens": tokens}
    )


@pytest.mark.long
def test_features_model_and_template_are_learned():
    made = OutputLengths(features=["p_code"]).fit(log())
    fresh = log(seed=1)
    found = made.predict(fresh)
    rest = np.log(fresh["output_tokens"]) - np.log(found["median"])
    assert rest.std() == pytest.approx(0.3, rel=0.1)  # only the noise is left
    assert found["output_tokens"].sum() == pytest.approx(fresh["output_tokens"].sum(), rel=0.03)
    inside = ((fresh["output_tokens"] > found["p10"]) & (fresh["output_tokens"] < found["p90"])).mean()
    assert 0.75 < inside < 0.85
    assert (found["basis"] == "template and model").all()


def test_a_template_is_carried_to_another_model():
    seen = log()
    seen = seen[~((seen["prompt_id"] == "t19") & (seen["model"] == "talkative"))]
    made = OutputLengths(features=["p_code"]).fit(seen)
    ask = pd.DataFrame({"model": ["talkative"] * 2, "p_code": [0, 0], "prompt_id": ["t19", "never seen"]})
    found = made.predict(ask)
    assert found["basis"].tolist() == ["template on other models", "features"]
    # 50 x 2 x e against 50 x 2 x the mean of the others
    assert found["median"].iloc[0] == pytest.approx(100 * np.e, rel=0.2)
    assert found["median"].iloc[1] == pytest.approx(100, rel=0.2)


def test_how_much_longer_on_another_model():
    made = OutputLengths(features=["p_code"]).fit(log())
    terse = log(seed=2).query("model == 'terse'")
    assert made.switch_factor(terse, "talkative") == pytest.approx(2.0, rel=0.08)
    with pytest.raises(SettingsError, match="No request of model 'new'"):
        made.switch_factor(terse, "new")


def test_what_is_missing_is_said():
    with pytest.raises(SettingsError, match="no column 'prompt_id'"):
        OutputLengths(features=[]).fit(log().drop(columns="prompt_id"))
    with pytest.raises(DataError, match="output_tokens"):
        OutputLengths(features=[]).fit(log().drop(columns="output_tokens"))


def test_prompt_features_keep_counts_only():
    found = prompt_features("def f(x):\n    return 42\nWhy?")
    assert found["p_code"] == 1.0
    assert found["p_lines"] == 3.0
    assert found["p_questions"] == 1.0
    assert found["p_digits"] == 2.0
    assert all(isinstance(v, float) for v in found.values())


def test_lengths_per_request_of_a_token_frame():
    day = pd.to_datetime(["2026-01-05"] * 4, utc=True)
    frame = pd.DataFrame(
        {
            "charge_period_start": day,
            "provider": "acme",
            "model": "m",
            "prompt_id": ["a", "a", "a", None],
            "meter": ["requests", "input", "output", "output"],
            "quantity": [10, 1000, 300, 99],
        }
    )
    row = request_lengths(frame).iloc[0]
    assert (row["requests"], row["input_tokens"], row["output_tokens"]) == (10, 100, 30)
    assert len(request_lengths(frame)) == 1


def test_lengths_without_the_library_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.ensemble", None)
    log = pd.DataFrame({"model": ["a"], "prompt_id": ["p"], "input_tokens": [5], "output_tokens": [5]})
    with pytest.raises(SettingsError, match=r"finops-ai-core\[lengths\]"):
        OutputLengths().fit(log)


def temperatures(slope, noise=0.05, groups=200):
    random = np.random.default_rng(1)
    rows = []
    for group in range(groups):
        for t in (0.0, 0.5, 1.0):
            length = np.exp(5 + group / 100 + slope * t + noise * random.standard_normal())
            rows.append({"model": "m", "prompt_id": f"p{group}", "temperature": t, "output_tokens": length})
    return pd.DataFrame(rows)


def test_a_planted_temperature_effect_is_found():
    found = learn_temperature(temperatures(np.log(1.12))).set_index("model").loc["m"]
    assert found["measured"] == pytest.approx(0.12, abs=0.02)
    assert found["per_degree"] == pytest.approx(0.12, abs=0.02)


def test_a_noisy_estimate_is_pulled_to_the_prior():
    found = learn_temperature(temperatures(np.log(1.4), noise=1.5, groups=12)).set_index("model").loc["m"]
    assert abs(found["per_degree"] - 0.05) < abs(found["measured"] - 0.05) / 3


def test_one_temperature_teaches_nothing():
    frame = temperatures(0.1).query("temperature == 0.5")
    found = learn_temperature(frame).set_index("model").loc["m"]
    assert np.isnan(found["measured"])
    assert found["per_degree"] == 0.05
    with pytest.raises(SettingsError, match="no column 'temperature'"):
        learn_temperature(frame.drop(columns="temperature"))


def test_the_factor_is_flat_then_runs_away():
    assert temperature_factor(0.5) == pytest.approx(1.025)
    assert temperature_factor(1.0, per_degree=0.1) == pytest.approx(1.1)
    assert temperature_factor(1.4) / temperature_factor(1.0) == pytest.approx(1.6)
