"""The histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.metrics import Histogram, Meter

from rxllm.telemetry._names import METRICS, AttributeValue


class Instruments:
    """The histograms, by their keys in the table of names.

    Args:
        meter: Makes them.
    """

    def __init__(self, meter: Meter) -> None:
        self._histograms: dict[str, Histogram] = {
            key: meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.description,
                explicit_bucket_boundaries_advisory=list(metric.boundaries),
            )
            for key, metric in METRICS.items()
        }

    def record(self, key: str, values: Iterable[float | None], attributes: Mapping[str, AttributeValue]) -> None:
        """Record values that have the same attributes; ``None`` is left out."""
        record = self._histograms[key].record
        for value in values:
            if value is not None:
                record(value, attributes)
