"""The catalogue of measures: every published figure as data, with the code that computes it from grouped rows."""

from finops_ai.figures.catalogue import Measure, catalogue, glossary, measure, meter_list
from finops_ai.figures.computing import aggregates, ingredients, ratio, values

__all__ = ["Measure", "aggregates", "catalogue", "glossary", "ingredients", "measure", "meter_list", "ratio", "values"]
