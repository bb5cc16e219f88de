"""Diagnostics of an arm: calibration, consistency under permutation, likeness to the teacher. None is ever ranked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kdbench.records import OCCLUSION_UNDEFINED
from kdbench.scoring.answers import Answers, Layout, shared_sets
from kdbench.scoring.calibration import expected_calibration_error, mean_score
from kdbench.scoring.gap import needs_seeds
from kdbench.scoring.intervals import estimate_scalars, estimate_statistics
from kdbench.scoring.likeness import (
    ErrorConsistency,
    agreement,
    divergence,
    error_consistency,
    label_kappa,
    prediction_entropy,
    wrong_label_agreement,
)
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.scores import Diagnostics, Likeness, Score, Undefined
from kdbench.scoring.statistic import Statistic, average
from kdbench.spec import BIAS_AXES, Scoring, Track
from kdbench.testsets.diagnostics import permuted_sets

Found = Statistic | Undefined
OfPair = Callable[[Answers, Answers], Found]


@dataclass(frozen=True)
class Party:
    """A network and the runs of its seed that it is compared with.

    Attributes:
        student: the network itself, whatever its role.
        alone, teacher: None where there is none.
        likeness: numbers of features and occlusion maps beside the teacher's, named as in
            `kdbench.evaluation.similarity`.
        likeness_alone: the same of the independent student beside the same teacher.
        on_object: `occlusion_on_object` of `kdbench.evaluation.similarity`; None if the record lacks it.
        own_teacher: whether `teacher` is the one that taught it, which the KL of its answers was taken from.
    """

    student: MeasuredRun
    alone: MeasuredRun | None = None
    teacher: MeasuredRun | None = None
    likeness: Mapping[str, float] = field(default_factory=dict)
    likeness_alone: Mapping[str, float] = field(default_factory=dict)
    on_object: float | None = None
    own_teacher: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """What the diagnostics of one board have in common."""

    track: Track
    scoring: Scoring

    @property
    def clean_set(self) -> str:
        return self.track.primary_sets("clean")[0].name

    @property
    def manipulated_sets(self) -> tuple[str, ...]:
        """The primary sets of the bias axes."""
        return tuple(one.name for axis in BIAS_AXES for one in self.track.primary_sets(axis))

    def of(self, parties: Sequence[Party]) -> Diagnostics:
        """The diagnostics of an arm, a party a seed, at least one."""
        runs = [party.student for party in parties]
        return Diagnostics(
            **self._calibration(runs),
            **self._permutation(runs),
            likeness=self._likeness(parties),
            scalars=self._scalars([party.likeness for party in parties], parties[0]),
            scalar_gains=self._scalars([_gains(party) for party in parties], parties[0]),
            occlusion_on_object=self._on_object(parties),
            collapsed=tuple(name for name in self.manipulated_sets if self._collapsed(runs, name)),
        )

    def _calibration(self, runs: Sequence[MeasuredRun]) -> dict[str, Score]:
        clean = [run.answers[self.clean_set] for run in runs]
        return {
            "calibration_error": self._on_clean(
                [expected_calibration_error(a.confidence, a.right, self.scoring.calibration_bins) for a in clean], runs
            ),
            "nll": self._on_clean([mean_score(a.nll) for a in clean], runs, most=np.inf),
            "brier": self._on_clean([mean_score(a.brier) for a in clean], runs, most=2.0),
        }

    def _on_clean(self, found: Sequence[Found], runs: Sequence[MeasuredRun], *, most: float = 1.0) -> Score:
        return self._averaged([{self.clean_set: one} for one in found], runs, least=0.0, most=most)

    def _permutation(self, runs: Sequence[MeasuredRun]) -> dict[str, Score]:
        """Clean answers beside those to the same images with their tiles permuted, averaged over permutations."""
        grids = permuted_sets(self.track)

        def score(of: OfPair, least: float) -> Score:
            found = [{grid: _permuted(run, names, of, self.clean_set) for grid, names in grids.items()} for run in runs]
            return self._averaged(found, runs, least=least)

        return {"permutation_consistency": score(_same, 0.0), "permutation_kappa": score(self._kappa, -1.0)}

    def _likeness(self, parties: Sequence[Party]) -> dict[Literal["clean", "manipulated"], Likeness]:
        taught = [party for party in parties if party.teacher is not None]
        if not taught:
            return {}
        return {
            "clean": self._likeness_on(taught, (self.clean_set,)),
            "manipulated": self._likeness_on(taught, self.manipulated_sets),
        }

    def _likeness_on(self, parties: Sequence[Party], names: Sequence[str]) -> Likeness:
        return Likeness(
            agreement=self._beside_teacher(parties, names, _same, least=0.0),
            label_kappa=self._beside_teacher(parties, names, self._kappa),
            label_kappa_gain=self._gain(parties, names, self._kappa),
            error_consistency=self._beside_teacher(parties, names, self._consistency),
            error_consistency_gain=self._gain(parties, names, self._consistency),
            error_consistency_relative=self._beside_teacher(parties, names, self._relative_consistency),
            wrong_label_agreement=self._beside_teacher(parties, names, self._same_mistakes, least=0.0),
            divergence=self._divergence(parties, names),
        )

    def _divergence(self, parties: Sequence[Party], names: Sequence[str]) -> Score:
        if not all(party.own_teacher for party in parties):
            return Undefined(reason="another teacher taught it")
        return self._beside_teacher(parties, names, _divergence, least=0.0, most=np.inf)

    def _kappa(self, first: Answers, second: Answers) -> Found:
        return label_kappa(first.label, second.label, self.track.data.num_classes)

    def _consistency(self, first: Answers, second: Answers) -> Found:
        found = error_consistency(first.right, second.right, self.scoring.least_errors)
        return found.kappa if isinstance(found, ErrorConsistency) else found

    def _relative_consistency(self, first: Answers, second: Answers) -> Found:
        found = error_consistency(first.right, second.right, self.scoring.least_errors)
        return found.relative if isinstance(found, ErrorConsistency) else found

    def _same_mistakes(self, first: Answers, second: Answers) -> Found:
        return wrong_label_agreement(first.label, second.label, first.asked.target, self.scoring.least_both_wrong)

    def _beside_teacher(
        self, parties: Sequence[Party], names: Sequence[str], of: OfPair, *, least: float = -1.0, most: float = 1.0
    ) -> Score:
        runs = [run for party in parties for run in (party.student, party.teacher) if run is not None]
        found = [_compared(party.student, party.teacher, names, of) for party in parties]
        return self._averaged(found, runs, least=least, most=most)

    def _gain(self, parties: Sequence[Party], names: Sequence[str], of: OfPair) -> Score:
        """The student's number less that of the independent student of the same seed, both beside the teacher."""
        if any(party.alone is None for party in parties):
            return Undefined(reason="a seed has no independent student to compare with")
        runs = [run for party in parties for run in (party.student, party.alone, party.teacher) if run is not None]
        found = []
        for party in parties:
            own, alone = (_compared(run, party.teacher, names, of) for run in (party.student, party.alone))
            found.append({name: _difference(own[name], alone[name]) for name in own if name in alone})
        return self._averaged(found, runs, least=-2.0, most=2.0)

    def _averaged(
        self, found: Sequence[Mapping[str, Found]], runs: Sequence[MeasuredRun], *, least: float, most: float = 1.0
    ) -> Score:
        """The mean over the sets on which a number in [least, most] is defined for every seed, then over seeds."""
        asked = shared_sets([run.answers for run in runs], list(found[0]))
        defined = [name for name in asked if all(isinstance(one.get(name), Statistic) for one in found)]
        if not defined:
            return _why_not(found)
        layout = Layout.of({name: asked[name] for name in defined}, runs[0].answers[self.clean_set].asked)
        parts = [{name: part for name in defined if isinstance(part := one[name], Statistic)} for one in found]
        averages = [layout.average(one) for one in parts]
        score = estimate_statistics(averages, layout.strata, layout.images, self.scoring)
        return score.model_copy(update={"low": max(score.low, least), "high": min(score.high, most)})

    def _scalars(self, numbers: Sequence[Mapping[str, float]], party: Party) -> dict[str, Score]:
        """Numbers of whole runs that every seed has."""
        names = sorted(set.intersection(*(set(one) for one in numbers)))
        return {name: self._scalar([one[name] for one in numbers], party) for name in names}

    def _on_object(self, parties: Sequence[Party]) -> Score | None:
        shares = [party.on_object for party in parties if party.on_object is not None]
        return self._scalar(shares, parties[0]) if len(shares) == len(parties) else None

    def _scalar(self, values: Sequence[float], party: Party) -> Score:
        if len(values) < self.scoring.interval_seeds:
            return Undefined(reason=needs_seeds(len(values), self.scoring))
        return estimate_scalars(values, party.student.images, self.scoring)

    def _collapsed(self, runs: Sequence[MeasuredRun], name: str) -> bool:
        answers = [run.answers[name] for run in runs if name in run.answers]
        return any(has_collapsed(one, self.track.data.num_classes, self.scoring) for one in answers)


def _gains(party: Party) -> dict[str, float]:
    """The student's likeness less the independent's, where both are known; what counts images is no likeness."""
    own, alone = party.likeness, party.likeness_alone
    return {name: own[name] - alone[name] for name in (own.keys() & alone.keys()) - {OCCLUSION_UNDEFINED}}


def has_collapsed(answers: Answers, num_classes: int, scoring: Scoring) -> bool:
    """Whether the answers are nearly always the same few classes: entropy below `collapse_entropy` times log C."""
    entropy = prediction_entropy(answers.label, num_classes)
    return isinstance(entropy, float) and entropy < scoring.collapse_entropy


def _same(first: Answers, second: Answers) -> Found:
    return agreement(first.label, second.label)


def _divergence(student: Answers, _: Answers) -> Found:
    return divergence(student.kl)


def _compared(
    run: MeasuredRun | None, teacher: MeasuredRun | None, names: Sequence[str], of: OfPair
) -> dict[str, Found]:
    """A number of two runs on each set that both answered."""
    if run is None or teacher is None:
        return {}
    shared = shared_sets([run.answers, teacher.answers], names)
    return {name: of(run.answers[name], teacher.answers[name]) for name in shared}


def _difference(first: Found, second: Found) -> Found:
    if isinstance(first, Undefined):
        return first
    return second if isinstance(second, Undefined) else first - second


def _permuted(run: MeasuredRun, names: Sequence[str], of: OfPair, clean_set: str) -> Found:
    """A number of the clean answers and those under each permutation of a grid that was asked, averaged over them."""
    answers = [run.answers[name] for name in names if name in run.answers]
    same = [one for one in answers if one.asked is answers[0].asked and one.asked.has_origins]
    clean = run.answers[clean_set]
    found = [of(Answers(one.asked, clean.label[one.asked.index], one.kl), one) for one in same]
    undefined = next((one for one in found if isinstance(one, Undefined)), None)
    if undefined or not found:
        return undefined or Undefined(reason="there are no answers to scrambled images")
    return average([one for one in found if isinstance(one, Statistic)])


def _why_not(found: Sequence[Mapping[str, Found]]) -> Undefined:
    reasons = [one for each in found for one in each.values() if isinstance(one, Undefined)]
    return reasons[0] if reasons else Undefined(reason="no test set has answers of all runs that are compared")
