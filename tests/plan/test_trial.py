"""A trial plans the runs that alpha and tau need, and not more."""

from pathlib import Path

from kdbench.plan.overrides import track_as_run
from kdbench.plan.trial import trial_options
from kdbench.testsets.spec import load_spec
from tests.planned_runs import INDEPENDENT, expanded, submission


def test_a_trial_is_unofficial_and_has_one_seed_and_both_questions(tmp_path: Path) -> None:
    options = trial_options(tmp_path / "own.py", ("vit-to-cnn",), tmp_path, "kdbench try own.py")
    track, reasons = track_as_run(options)
    assert (track.training.student_epochs, track.data.num_train) == (8, 640)
    assert reasons == ("--epochs 8", "--limit-train 640")
    assert (options.seeds, tuple(options.questions)) == ("0", ("architecture", "planted"))
    assert track.test_sets == load_spec().track("synthetic").test_sets


def test_a_trial_has_the_directions_of_the_method_that_are_boards_of_the_track(tmp_path: Path) -> None:
    options = trial_options(tmp_path / "own.py", ("cnn-to-cnn", "vit-to-cnn"), tmp_path, "kdbench try own.py")
    assert list(options.directions) == ["vit-to-cnn"]


def test_methods_that_are_tried_in_one_folder_share_all_but_their_own_students(tmp_path: Path) -> None:
    options = trial_options(tmp_path / "own.py", ("vit-to-cnn",), tmp_path, "kdbench try own.py")
    track, _ = track_as_run(options)
    planned = [
        {run.run_id for run in expanded(INDEPENDENT, submission(name), track=track, questions=("planted",))}
        for name in ("first", "second")
    ]
    assert len(planned[0] & planned[1]) == len(planned[0]) - 4
