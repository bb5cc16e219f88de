"""Records in MLflow, on real sqlite stores."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from kdbench.cli import tracking as cli
from kdbench.errors import WriteError
from kdbench.records import PREDICTIONS, RESULT, Timing, read_record
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.tracking.mirror import mirror
from kdbench.tracking.store import DATABASE, tracking_uri_of
from kdbench.tracking.writer import VALUES
from tests.command_line import Command
from tests.examples import a_record, store, unsealed
from tests.tracking.mirrored import artifacts_of, runs_of, share_right


def test_a_track_is_an_experiment_and_a_record_a_run_below_no_other(results: Path) -> None:
    store(results, a_record(run_id="one"))
    store(results, a_record(run_id="two", track="cifar10-32"))
    assert mirror(results).added == 2
    for track, run_id in (("synthetic", "one"), ("cifar10-32", "two")):
        (run,) = runs_of(results, "record", track)
        assert run.data.tags["kdbench.run_id"] == run_id
        assert "mlflow.parentRunId" not in run.data.tags  # MLflow draws no charts of runs below another one
        assert run.info.status == "FINISHED"


def test_two_runs_can_be_compared_by_parameters_accuracy_and_bias(results: Path) -> None:
    answers = {"clean": share_right(0.9), "shape": share_right(0.5), "texture": share_right(0.1)}
    store(results, a_record(unofficial=("--epochs 1",)), answers)
    mirror(results)
    (run,) = runs_of(results, "record")
    assert run.data.params["method"] == "lm"
    assert run.data.params["seed"] == "0"
    assert run.data.params["teacher_bias"] == "shape"
    assert run.data.params["config.temperature"] == "4.0"
    assert run.data.metrics["accuracy/clean"] == 0.9
    assert run.data.metrics["bias/shape"] == pytest.approx(0.5)  # (.5 - .1) / (.9 - .1)
    assert run.data.metrics["bias/texture"] == pytest.approx(0.0)
    assert run.data.metrics["peak_memory_bytes"] == 1e9
    assert run.data.tags["official"] == "no"
    assert run.data.tags["unofficial"] == "--epochs 1"
    assert run.data.tags["digest.testsets"] == "e" * 64


def test_an_epoch_is_a_step_of_a_curve(results: Path) -> None:
    store(results, a_record())
    mirror(results)
    (run,) = runs_of(results, "record")
    client = MlflowClient(tracking_uri=tracking_uri_of(results))
    history = client.get_metric_history(run.info.run_id, "epoch/train_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.4), (1, 0.8)]


def test_mlflow_takes_the_curves_of_any_term(results: Path) -> None:
    names = (
        "distillation",
        "distillation_weighted",
        "gradient_norm_distillation",
        "kl(t, s)/T",
        "gradient_norm_kl(t, s)/T",
    )
    store(results, a_record(curves=(dict.fromkeys(names, 1.0),) * 2, scalars={"cka": 0.5}))
    assert mirror(results).warning == ""
    (run,) = runs_of(results, "record")
    assert {name for name in run.data.metrics if name.startswith(("term", "gradient"))} == {
        "term/distillation",
        "term_weighted/distillation",
        "gradient_norm/distillation",
        "term/kl_t_ s__T_30604d",
        "gradient_norm/kl_t_ s__T_30604d",
    }
    assert run.data.metrics["similarity/cka"] == 0.5


def test_names_that_mlflow_refuses_are_changed_and_stay_apart(results: Path) -> None:
    names = ("", ".", "..", "/", "x" * 300, "x" * 301, "a?b", "a!b", " end ", "../../x", "tab\t")
    store(results, a_record(curves=(dict.fromkeys(names, 1.0),)))
    store(results, a_record(run_id="other", config={"../x": 1, "y" * 300: 2}))
    outcome = mirror(results)
    assert (outcome.added, outcome.warning) == (2, "")
    curves = [{name for name in run.data.metrics if name.startswith("epoch/")} for run in runs_of(results, "record")]
    assert len(names) in map(len, curves)


def test_folders_of_the_same_name_in_one_store_leave_each_other_alone(results: Path) -> None:
    uri = f"sqlite:///{results / DATABASE}"
    first, second = results / "a" / "runs", results / "b" / "runs"
    for folder in (first, second):
        store(folder, a_record(timing=Timing(training=1.0 if folder == first else 2.0)))
    for _ in range(2):
        for folder in (first, second):
            mirror(folder, uri)
    assert sorted(run.data.metrics["seconds/training"] for run in runs_of(results, "record")) == [1.0, 2.0]


def test_a_store_that_moved_with_its_folder_works_there(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = results / "old place"
    store(old, a_record())
    shutil.move(results / DATABASE, old / DATABASE)
    mirror(old)
    moved = tmp_path_factory.mktemp("elsewhere") / "100% new"
    shutil.move(old, moved)
    store(moved, a_record(run_id="new"))
    outcome = mirror(moved)
    assert (outcome.added, outcome.unchanged, outcome.warning) == (1, 1, "")
    for run in runs_of(moved, "record"):
        assert "result.json" in artifacts_of(moved, run)
        assert run.info.artifact_uri.startswith(moved.as_uri())
    assert not old.exists()


def test_more_settings_than_one_call_takes_are_all_mirrored(results: Path) -> None:
    store(results, a_record(config={f"setting-{number}": number for number in range(150)}))
    assert mirror(results).warning == ""
    (run,) = runs_of(results, "record")
    assert run.data.params["config.setting-149"] == "149"
    assert run.data.tags["status"] == "ok"


def test_weights_predictions_log_and_source_are_artifacts(results: Path) -> None:
    folder = store(results, a_record())
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "log.txt").write_text("a line\n")
    (folder / "method.py").write_text("class Method: ...\n")
    mirror(results)
    (run,) = runs_of(results, "record")
    files = {"result.json", "predictions.npz", "weights.safetensors", "log.txt", "method.py"}
    assert artifacts_of(results, run) == files


def test_a_failed_run_is_mirrored_as_failed_with_its_reason(results: Path) -> None:
    store(results, a_record(status="diverged", reason="the loss was not finite", test={}))
    mirror(results)
    (run,) = runs_of(results, "record")
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "the loss was not finite"


def test_mirroring_twice_is_the_same_as_once(results: Path) -> None:
    store(results, a_record())
    mirror(results)
    before = [run.info.run_id for run in runs_of(results, "record")]
    second = mirror(results)
    assert (second.added, second.replaced, second.unchanged) == (0, 0, 1)
    assert [run.info.run_id for run in runs_of(results, "record")] == before


def test_a_run_made_again_replaces_what_was_mirrored_of_it(results: Path) -> None:
    store(results, a_record(status="error", reason="out of luck"))
    mirror(results)
    store(results, a_record())
    again = mirror(results)
    (run,) = runs_of(results, "record")
    assert (again.added, again.replaced) == (0, 1)
    assert run.data.tags["status"] == "ok"


def test_an_interrupted_mirror_is_completed_by_the_next(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(results, a_record(run_id="one"))
    store(results, a_record(run_id="two"))

    def interrupt(self: MlflowClient, run_id: str, *arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", interrupt)
        with pytest.raises(KeyboardInterrupt):
            mirror(results)
    mirror(results)
    runs = runs_of(results, "record")
    assert sorted(run.data.tags["kdbench.run_id"] for run in runs) == ["one", "two"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all("predictions.npz" in artifacts_of(results, run) for run in runs)


@pytest.mark.parametrize("uri", ["sqlite:////proc/no/such/folder/mlflow.db", "http://127.0.0.1:9", "nonsense://store"])
def test_a_broken_store_is_a_warning_and_no_record_is_lost(
    results: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = store(results, a_record())
    outcome = mirror(results, uri)
    assert outcome.added == 0
    assert uri in outcome.warning
    assert "no record is lost: mirror later with `kdbench track" in outcome.warning
    assert "\n" not in outcome.warning
    assert unsealed(read_record(folder)) == a_record()
    assert mirror(results).added == 1


def test_a_damaged_record_does_not_keep_the_others_out(results: Path) -> None:
    damaged = store(results, a_record(run_id="damaged"))
    (damaged / RESULT).write_text("{")
    store(results, a_record(run_id="sound"))
    outcome = mirror(results)
    assert outcome.added == 1
    assert str(damaged / RESULT) in outcome.warning
    assert outcome.warning.endswith(f"then mirror again with `kdbench track {results}`")
    assert "no record is lost" not in outcome.warning


def test_a_results_folder_that_cannot_be_written_takes_a_store_elsewhere(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(results, a_record())
    monkeypatch.setattr(os, "access", lambda path, mode: path != results)
    with pytest.raises(WriteError, match="set MLFLOW_TRACKING_URI to a store elsewhere"):
        mirror(results)
    assert mirror(results, f"sqlite:///{tmp_path / 'elsewhere.db'}").added == 1


def test_mirroring_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, a_record())
    assert mirror(tmp_path).added == 1
    assert capfd.readouterr() == ("", "")


def test_a_record_takes_one_call_for_its_numbers_and_progress_is_reported(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(results, a_record(run_id="one"))
    mirror(results)
    store(results, a_record(run_id="two", method="crd"))
    calls: list[str] = []
    log_batch, reports = MlflowClient.log_batch, list[tuple[int, int]]()

    def counted(self: MlflowClient, run_id: str, *arguments: Any, **more: Any) -> object:
        calls.append(run_id)
        return log_batch(self, run_id, *arguments, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    monkeypatch.setattr(MlflowClient, "set_tag", None)
    mirror(results, report=lambda done, total: reports.append((done, total)))
    assert len(calls) == 1
    assert reports == [(1, 2), (2, 2)]


def test_a_track_that_the_spec_does_not_have_has_no_bias(results: Path) -> None:
    store(results, a_record(track="imagenet"), {"clean": share_right(0.9), "shape": share_right(0.5)})
    assert mirror(results).added == 1
    (run,) = runs_of(results, "record", "imagenet")
    assert not [name for name in run.data.metrics if name.startswith("bias/")]


def test_the_command_mirrors_under_the_spec_that_it_is_given(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shipped(*SPEC_PATH).read_text()
    for old, new in (("[tracks.synthetic", "[tracks.mine"), ('extends = "synthetic"', 'extends = "mine"')):
        text = text.replace(old, new)
    (tmp_path / "mine.toml").write_text(text)
    store(results, a_record(track="mine"), {"clean": share_right(0.9), "shape": share_right(0.5)})
    cli.track([results], tmp_path / "mine.toml")
    assert "1 records added" in capsys.readouterr().out
    (run,) = runs_of(results, "record", "mine")
    assert run.data.metrics["bias/shape"] == pytest.approx(0.5)


def test_answers_that_cannot_be_read_do_not_keep_other_records_out(results: Path) -> None:
    damaged = store(results, a_record(run_id="damaged"))
    (damaged / PREDICTIONS).write_bytes(b"no predictions")
    store(results, a_record(run_id="sound"))
    outcome = mirror(results)
    assert outcome.added == 1
    assert str(damaged / PREDICTIONS) in outcome.warning


def test_the_command_fails_where_it_could_not_mirror(tmp_path: Path, kdbench: Command) -> None:
    (store(tmp_path, a_record()) / RESULT).write_text("{")
    result = kdbench("track", str(tmp_path))
    assert result.returncode == 1
    assert "0 records added" in result.stdout
    assert result.stderr.startswith("kdbench: error: ")
    assert str(tmp_path) in result.stderr


def test_what_was_mirrored_by_other_formulas_is_mirrored_anew(results: Path) -> None:
    store(results, a_record())
    mirror(results)
    (run,) = runs_of(results, "record")
    client = MlflowClient(tracking_uri=tracking_uri_of(results))
    client.delete_tag(run.info.run_id, VALUES)
    assert (mirror(results).replaced, mirror(results).unchanged) == (1, 1)


def test_the_parent_runs_of_older_versions_are_removed(results: Path) -> None:
    store(results, a_record())
    mirror(results)
    client = MlflowClient(tracking_uri=tracking_uri_of(results))
    (run,) = runs_of(results, "record")
    tags = {"kdbench.kind": "invocation", "kdbench.folder": "."}
    client.create_run(run.info.experiment_id, tags=tags, run_name="kdbench run")
    mirror(results)
    assert runs_of(results, "invocation") == []
    assert len(runs_of(results, "record")) == 1


def test_a_run_that_mlflow_refuses_does_not_keep_the_others_out(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(results, a_record(run_id="bad", method="bad"))
    store(results, a_record(run_id="good"))
    log_batch = MlflowClient.log_batch

    def refuse(self: MlflowClient, run_id: str, *arguments: Any, **more: Any) -> object:
        if self.get_run(run_id).info.run_name == "bad":
            raise ValueError("not this one")
        return log_batch(self, run_id, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", refuse)
        outcome = mirror(results)
    assert outcome.added == 1
    assert "MLflow refused it (ValueError: not this one)" in outcome.warning
    assert [run.info.run_name for run in runs_of(results, "record")] == ["lm"]
    assert (mirror(results).added, mirror(results).unchanged) == (1, 2)
    assert len(runs_of(results, "record")) == 2


def test_mlflow_that_fails_halfway_is_asked_no_more_and_catches_up(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        store(results, a_record(run_id=f"run{number}", seed=number))
    calls: list[str] = []
    log_batch = MlflowClient.log_batch

    def fail_later(self: MlflowClient, run_id: str, *arguments: Any, **more: Any) -> object:
        calls.append(run_id)
        if len(calls) > 1:
            raise OSError("gone")
        return log_batch(self, run_id, *arguments, **more)

    def gone(*arguments: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", fail_later)
        patch.setattr(MlflowClient, "set_experiment_tag", gone)
        outcome = mirror(results)
    assert (outcome.added, len(calls)) == (1, 2)
    assert "failed (OSError: gone); no record is lost" in outcome.warning
    assert (mirror(results).warning, len(runs_of(results, "record"))) == ("", 4)


def test_a_record_of_another_track_than_its_folder_is_left_out(results: Path) -> None:
    folder = store(results, a_record())
    text = (folder / RESULT).read_text()
    (folder / RESULT).write_text(text.replace('"track": "synthetic"', '"track": "../../elsewhere"'))
    outcome = mirror(results)
    assert outcome.added == 0
    assert "'../../elsewhere'" in outcome.warning
