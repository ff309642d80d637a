"""The last step: how the scores of a slide came about, and its report."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from blurryscope.artifacts.provenance import Provenance, current_versions, write_provenance
from blurryscope.basics.progress import Progress, silent
from blurryscope.classify.predict import Classifier
from blurryscope.pipeline.settings import RunSettings
from blurryscope.pipeline.steps import plain
from blurryscope.report import write_report


def finish(
    out: Path,
    inputs: Mapping[str, str],
    classifier: Classifier,
    settings: RunSettings,
    progress: Progress = silent,
) -> Path:
    """Write the provenance and, last of all, the report."""
    told = {key: plain(value) for key, value in asdict(settings).items()}
    told |= {
        "model": classifier.name,
        "threshold": classifier.decision_rule(settings.threshold).threshold,
    }
    if classifier.limits is not None:
        single, *fused = classifier.limits.rules.by_count
        told["limits"] = (
            asdict(single)
            | {f"of {count} scans": asdict(rule) for count, rule in enumerate(fused, start=2)}
            | {"fitted_on": classifier.limits.fitted_on}
        )
    write_provenance(
        out / "provenance.json",
        Provenance(
            settings=told,
            inputs_sha256=inputs,
            model_sha256=classifier.sha256,
            versions=current_versions(),
        ),
    )
    progress("write the report", 0.0)
    report = write_report(out)
    progress("write the report", 1.0)
    return report
