"""Records in MLflow, on real sqlite stores."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from kdbench.cli import tracking as cli
from kdbench.records import PREDICTIONS, RESULT, Timing, read_record
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.tracking.mirror import VALUES, mirror
from kdbench.tracking.store import DATABASE, tracking_uri_of
from tests.command_line import Command
from tests.examples import a_record, store, unsealed
from tests.tracking.mirrored import artifacts_of, runs_of, share_right


def test_a_track_is_an_experiment_and_a_record_a_child_of_the_invocation(results: Path) -> None:
    store(results, a_record(run_id="one"))
    store(results, a_record(run_id="two", track="cifar10-32"))
    assert mirror(results, invocation="kdbench run").added == 2
    for track, run_id in (("synthetic", "one"), ("cifar10-32", "two")):
        (parent,) = runs_of(results, "invocation", track)
        (child,) = runs_of(results, "record", track)
        assert parent.info.run_name == "kdbench run"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["kdbench.run_id"] == run_id
        assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")


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
        "term/kl_t_ s__T",
        "gradient_norm/kl_t_ s__T",
    }
    assert run.data.metrics["similarity/cka"] == 0.5


def test_folders_of_the_same_name_in_one_store_leave_each_other_alone(results: Path, empty_database: Path) -> None:
    uri = f"sqlite:///{results / DATABASE}"
    first, second = results / "a" / "runs", results / "b" / "runs"
    for folder in (first, second):
        store(folder, a_record(timing=Timing(training=1.0 if folder == first else 2.0)))
    for _ in range(2):
        for folder in (first, second):
            mirror(folder, uri, invocation="kdbench run")
    parents, children = runs_of(results, "invocation"), runs_of(results, "record")
    assert len(parents) == len(children) == 2
    owners = {run.data.tags["mlflow.parentRunId"]: run.data.metrics["seconds/training"] for run in children}
    assert sorted(owners.values()) == [1.0, 2.0]
    assert owners.keys() == {parent.info.run_id for parent in parents}


def test_the_same_command_again_adds_to_its_own_parent(results: Path) -> None:
    for seed in range(2):
        store(results, a_record(run_id=f"seed{seed}", seed=seed))
        mirror(results, invocation="kdbench run --seeds 0-1")
    mirror(results, invocation="kdbench track")
    (parent,) = runs_of(results, "invocation")
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs_of(results, "record")} == {parent.info.run_id}


def test_a_results_folder_that_was_moved_is_still_mirrored(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store(results, a_record())
    mirror(results)
    moved = tmp_path_factory.mktemp("elsewhere") / "runs"
    shutil.copytree(results, moved)
    assert (mirror(moved).added, mirror(moved).unchanged) == (0, 1)


def test_more_settings_than_one_call_takes_are_all_mirrored(results: Path) -> None:
    store(results, a_record(config={f"setting-{number}": number for number in range(150)}))
    assert mirror(results).warning == ""
    (run,) = runs_of(results, "record")
    assert run.data.params["config.setting-149"] == "149"
    assert run.data.tags["status"] == "ok"


def test_weights_predictions_and_log_are_artifacts(results: Path) -> None:
    folder = store(results, a_record())
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "log.txt").write_text("a line\n")
    mirror(results)
    (run,) = runs_of(results, "record")
    assert artifacts_of(results, run) == {"result.json", "predictions.npz", "weights.safetensors", "log.txt"}


def test_a_failed_run_is_mirrored_as_failed_with_its_reason(results: Path) -> None:
    store(results, a_record(status="diverged", reason="the loss was not finite", test={}))
    mirror(results)
    (run,) = runs_of(results, "record")
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "the loss was not finite"


def test_mirroring_twice_is_the_same_as_once(results: Path) -> None:
    store(results, a_record())
    mirror(results)
    before = [run.info.run_id for run in runs_of(results, "record") + runs_of(results, "invocation")]
    second = mirror(results)
    assert (second.added, second.replaced, second.unchanged) == (0, 0, 1)
    assert [run.info.run_id for run in runs_of(results, "record") + runs_of(results, "invocation")] == before


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
    children, parents = runs_of(results, "record"), runs_of(results, "invocation")
    assert sorted(run.data.tags["kdbench.run_id"] for run in children) == ["one", "two"]
    assert {run.info.status for run in children + parents} == {"FINISHED"}
    assert all("predictions.npz" in artifacts_of(results, run) for run in children)
    assert len(parents) == 1


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


def test_mirroring_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, a_record())
    assert mirror(tmp_path).added == 1
    assert capfd.readouterr() == ("", "")


def test_a_record_takes_one_call_for_its_numbers_and_progress_is_reported(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(results, a_record(run_id="one"))
    mirror(results)
    store(results, a_record(run_id="two"))
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
    MlflowClient(tracking_uri=tracking_uri_of(results)).delete_tag(run.info.run_id, VALUES)
    assert (mirror(results).replaced, mirror(results).unchanged) == (1, 1)
