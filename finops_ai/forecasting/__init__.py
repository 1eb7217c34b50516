"""Forecasts whose error is published: per-series choice of models, calibrated intervals, drivers, scenarios, plan."""

from finops_ai.forecasting.evaluation import Backtest, backtest, run_backtest
from finops_ai.forecasting.models import model_names, register_model

__all__ = ["Backtest", "backtest", "model_names", "register_model", "run_backtest"]
