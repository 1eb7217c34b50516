"""Forecasts whose error is published: per-series choice of models, calibrated intervals, drivers, scenarios, plan."""

from finops_ai.forecasting.budgets import budgets
from finops_ai.forecasting.changes import (
    CacheAdoption,
    Change,
    Commitment,
    Launch,
    ModelSwitch,
    PriceChange,
    PromptChange,
    TemperatureChange,
    Volume,
)
from finops_ai.forecasting.committing import commitment_advice
from finops_ai.forecasting.drivers import drivers
from finops_ai.forecasting.evaluation import Backtest, backtest, run_backtest
from finops_ai.forecasting.forecaster import CostForecast, forecast, forecast_cost, under
from finops_ai.forecasting.history import cost_history
from finops_ai.forecasting.keeping import compare_plans, read_plan, save_plan
from finops_ai.forecasting.lengths import OutputLengths, prompt_features, request_lengths
from finops_ai.forecasting.models import model_names, register_model
from finops_ai.forecasting.planning import budget_outlook, past_error, plan, plan_in_words
from finops_ai.forecasting.scenarios import (
    Scenario,
    columns_touched,
    compare_scenarios,
    contributions,
    load_scenarios,
    standard_scenarios,
)
from finops_ai.forecasting.temperature import learn_temperature, temperature_factor

__all__ = [
    "Backtest",
    "CacheAdoption",
    "Change",
    "Commitment",
    "CostForecast",
    "Launch",
    "ModelSwitch",
    "OutputLengths",
    "PriceChange",
    "PromptChange",
    "Scenario",
    "TemperatureChange",
    "Volume",
    "backtest",
    "budget_outlook",
    "budgets",
    "columns_touched",
    "commitment_advice",
    "compare_plans",
    "compare_scenarios",
    "contributions",
    "cost_history",
    "drivers",
    "forecast",
    "forecast_cost",
    "learn_temperature",
    "load_scenarios",
    "model_names",
    "past_error",
    "plan",
    "plan_in_words",
    "prompt_features",
    "read_plan",
    "register_model",
    "request_lengths",
    "run_backtest",
    "save_plan",
    "standard_scenarios",
    "temperature_factor",
    "under",
]
