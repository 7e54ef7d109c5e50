"""The text exposition and the metrics of the process."""

from __future__ import annotations

from athanor import __version__
from athanor.model.metrics import Registry
from athanor.serve.metrics import exposition
from athanor.serve.process_metrics import register_process_metrics


def test_the_page_has_help_type_and_values_as_go_writes_them():
    registry = Registry()
    registry.counter("c_total", "Line\nbreak \\.").inc(1e6)
    registry.gauge_family("g", "G.", ("a",)).of('q"\n\\').set(0.25)
    registry.histogram("h", "H.", (0.5,)).observe(1)
    assert exposition(registry).decode() == (
        "# HELP c_total Line\\nbreak \\\\.\n"
        "# TYPE c_total counter\n"
        "c_total 1e+06\n"
        "# HELP g G.\n"
        "# TYPE g gauge\n"
        'g{a="q\\"\\n\\\\"} 0.25\n'
        "# HELP h H.\n"
        "# TYPE h histogram\n"
        'h_bucket{le="0.5"} 0\n'
        'h_bucket{le="+Inf"} 1\n'
        "h_sum 1\n"
        "h_count 1\n"
    )


def test_process_metrics_have_the_names_that_dashboards_read():
    registry = Registry()
    register_process_metrics(registry)
    families = {family.name: family for family in registry.families()}
    assert set(families) >= {
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_network_receive_bytes_total",
        "process_network_transmit_bytes_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
        "thanos_build_info",
    }
    labels = dict(families["thanos_build_info"].samples[0][1])
    assert list(labels) == ["branch", "goarch", "goos", "goversion", "revision", "tags", "version"]
    assert labels["version"] == __version__
    assert families["process_resident_memory_bytes"].samples[0][2] > 1e6
