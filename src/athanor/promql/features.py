"""Which experimental parts of the language and the engine are switched on."""

from __future__ import annotations

from dataclasses import dataclass

# Names that Prometheus 3.14 knows and the library inside Thanos 0.43 (Prometheus 3.9.1) does not.
FUNCTIONS_SINCE_3_10 = frozenset(
    {"start", "end", "range", "step", "max_of", "min_of", "start_timestamp", "histogram_quantiles"}
)
KEYWORDS_SINCE_3_10 = frozenset({"fill", "fill_left", "fill_right", "range", "max_of", "min_of"})


@dataclass(frozen=True, slots=True)
class Features:
    """Switches of the parser and the engine; the defaults are those of Prometheus 3.14.

    since_3_10: the syntax that came after Prometheus 3.9: trim operators, fill modifiers, functions start, end, range,
    step, max_of, min_of, start_timestamp, histogram_quantiles. x_functions: xrate, xincrease, xdelta of Thanos' engine.
    """

    experimental_functions: bool = False
    duration_expressions: bool = True
    extended_range_selectors: bool = False
    fill_modifiers: bool = False
    since_3_10: bool = True
    x_functions: bool = False
    delayed_name_removal: bool = False
    type_and_unit_labels: bool = False
    start_timestamps: bool = False
    per_step_stats: bool = False

    @classmethod
    def prometheus_3_14(cls) -> Features:
        return cls()

    @classmethod
    def thanos_0_43(cls) -> Features:
        """Thanos 0.43 parses with the library of Prometheus 3.9.1."""
        return cls(duration_expressions=False, since_3_10=False)

    @classmethod
    def all(cls) -> Features:
        """The whole language of 3.14; the engine switches as Prometheus' own conformance scripts expect them."""
        return cls(
            experimental_functions=True,
            duration_expressions=True,
            extended_range_selectors=True,
            fill_modifiers=True,
            delayed_name_removal=True,
            start_timestamps=True,
        )
