"""Grafana's dashboard of Lakeloom, as code: `python -m deploy.monitoring.dashboard` writes it.

Here: panels and their queries, built with Grafana's own SDK (dev dependencies bring it).
Not here: when somebody is woken (alerts.yaml), what the metrics mean (docs/monitoring.md).
"""

from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FILE = Path(__file__).with_name("dashboard.json")
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
CHOSEN = 'corpus=~"$corpus"'
HEIGHT = 8
Query = tuple[str, str]
"""PromQL, and how its series are named."""

ROWS: Sequence[tuple[str, Sequence[tuple[str, str, Sequence[Query]]]]] = (
    (
        "Uploads to search",
        (
            (
                "Objects in an hour",
                "short",
                [(f"increase(lakeloom_uploads_total{{{CHOSEN}}}[1h])", "{{corpus}}")],
            ),
            (
                "From upload to search, 95% and half",
                "s",
                [
                    (
                        (
                            f"histogram_quantile({share}, sum by (le) (increase("
                            f"lakeloom_upload_to_searchable_seconds_bucket{{{CHOSEN}}}[6h])))"
                        ),
                        f"{share}",
                    )
                    for share in (0.95, 0.5)
                ],
            ),
            (
                "Not in the served index yet",
                "short",
                [(f"lakeloom_backlog_objects{{{CHOSEN}}}", "{{corpus}}")],
            ),
            (
                "Longest wait",
                "s",
                [(f"lakeloom_backlog_oldest_seconds{{{CHOSEN}}}", "{{corpus}}")],
            ),
        ),
    ),
    (
        "What there is",
        (
            (
                "Documents",
                "short",
                [
                    (f"lakeloom_documents{{{CHOSEN}}}", "{{corpus}}"),
                    (f"lakeloom_objects{{{CHOSEN}}}", "{{corpus}}, objects"),
                    (f"lakeloom_chunks{{{CHOSEN}}}", "{{corpus}}, chunks"),
                ],
            ),
            (
                "Rejected documents",
                "short",
                [(f"lakeloom_rejected_documents{{{CHOSEN}}}", "{{corpus}}: {{reason}}")],
            ),
            (
                "Points in the index",
                "short",
                [(f"lakeloom_index_points{{{CHOSEN}}}", "{{corpus}}, {{encoder}}")],
            ),
            ("Embedded vector store", "bytes", [("lakeloom_vectors_bytes", "files")]),
        ),
    ),
    (
        "Quality and the gate",
        (
            (
                "nDCG@10 of what is served",
                "percentunit",
                [
                    (
                        (
                            f"lakeloom_ndcg_10{{{CHOSEN}}} and on (corpus, encoder, retriever) "
                            "lakeloom_served"
                        ),
                        "{{corpus}}: {{encoder}}, {{retriever}}",
                    )
                ],
            ),
            (
                "Decisions of the gate in an hour",
                "short",
                [
                    (
                        f"sum by (outcome) (increase(lakeloom_gate_total{{{CHOSEN}}}[1h]))",
                        "{{outcome}}",
                    )
                ],
            ),
            (
                "Asset checks that failed last",
                "short",
                [("lakeloom_check_passed == 0", "{{asset}}: {{check}} ({{severity}})")],
            ),
            (
                "Failed steps in an hour",
                "short",
                [("increase(lakeloom_step_failures_total[1h])", "{{step}}")],
            ),
        ),
    ),
    (
        "Work and machines",
        (
            (
                "Texts embedded a second of embedding",
                "short",
                [
                    (
                        (
                            'increase(lakeloom_work_total{kind="embedded"}[1h]) / scalar(sum('
                            "increase(lakeloom_embedding_seconds_total[1h])))"
                        ),
                        "texts",
                    )
                ],
            ),
            (
                "Runs",
                "short",
                [('lakeloom_runs{status=~"queued|starting|started"}', "{{status}}")],
            ),
            ("Pools", "short", [("lakeloom_pool_slots", "{{pool}}, {{state}}")]),
            (
                "GPUs",
                "percentunit",
                [
                    ("lakeloom_gpu_utilization_ratio", "{{name}} {{gpu}} busy"),
                    (
                        "lakeloom_gpu_memory_used_bytes / lakeloom_gpu_memory_bytes",
                        "{{name}} {{gpu}} memory",
                    ),
                ],
            ),
        ),
    ),
)


def build() -> str:
    """The dashboard as Grafana's JSON."""
    made = (
        dashboard.Dashboard("Lakeloom")
        .uid("lakeloom")
        .tags(["lakeloom"])
        .readonly()
        .refresh("1m")
        .time("now-24h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("corpus")
            .datasource(SOURCE)
            .query("label_values(lakeloom_objects, corpus)")
            .include_all(include_all=True)
            .all_value(".*")
            .multi(multi=True)
        )
        .with_panel(_health())
    )
    for title, panels in ROWS:
        made = made.with_row(dashboard.Row(title))
        for name, unit, queries in panels:
            made = made.with_panel(_panel(name, unit, queries))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _health() -> stat.Panel:
    panel = stat.Panel().title("Answers").datasource(SOURCE).span(24).height(4)
    queries = [
        ("lakeloom_up", "{{source}}"),
        ("lakeloom_daemon_healthy", "{{daemon}}"),
        (
            "time() - max by (sensor) (lakeloom_sensor_last_tick_timestamp_seconds)",
            "{{sensor}}, seconds since its tick",
        ),
        ("time() - lakeloom_asked_timestamp_seconds", "{{source}}, seconds since its answer"),
    ]
    for query in _queries(queries):
        panel = panel.with_target(query)
    return panel


def _panel(title: str, unit: str, queries: Sequence[Query]) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).unit(unit).datasource(SOURCE).span(6).height(HEIGHT)
    for query in _queries(queries):
        panel = panel.with_target(query)
    return panel


def _queries(queries: Sequence[Query]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place))
        for place, (expression, legend) in enumerate(queries)
    ]


if __name__ == "__main__":
    FILE.write_text(build())
