"""Diagnostics of an arm: calibration, consistency under permutation, similarity to the teacher. None is ever ranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kdbench.records import OCCLUSION_UNDEFINED
from kdbench.scoring.answer_pairs import AnswerPairs, BySet, MaybeStatistic, PairStatistic, differences
from kdbench.scoring.answers import Answers, ImageUnits, shared_sets
from kdbench.scoring.arms import Diagnostics, Likeness
from kdbench.scoring.calibration import expected_calibration_error, mean_score
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.gap import needs_seeds
from kdbench.scoring.intervals import estimate_scalars, estimate_statistics
from kdbench.scoring.likeness import (
    agreement,
    divergence,
    label_kappa,
    prediction_entropy,
    wrong_label_agreement,
)
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.statistic import Statistic, average
from kdbench.spec import BIAS_AXES, Scoring, Track
from kdbench.testsets.kinds.tiles import permuted_sets

TAUGHT_BY_ANOTHER = Undefined(reason="the student was taught by another teacher than the one it is compared with")


@dataclass(frozen=True)
class Party:
    """A network and the networks of its seed with which it is compared.

    Attributes:
        student: the network itself, whatever its role.
        independent, teacher: None if there is none.
        likeness: similarity of its features and occlusion maps to the teacher's, by the names of
            `kdbench.evaluation.similarity`.
        independent_likeness: the same numbers of the independent student.
        on_object: `occlusion_on_object` of `kdbench.evaluation.similarity`; None if the record lacks it.
        own_teacher: whether `teacher` taught it, so that the KL of its answers refers to this teacher.
    """

    student: MeasuredRun
    independent: MeasuredRun | None = None
    teacher: MeasuredRun | None = None
    likeness: Mapping[str, float] = field(default_factory=dict)
    independent_likeness: Mapping[str, float] = field(default_factory=dict)
    on_object: float | None = None
    own_teacher: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """Computes the diagnostics of the arms of one board.

    It keeps what compares independent students with teachers, since many arms share it.
    """

    track: Track
    scoring: Scoring
    _independents: dict[tuple[MeasuredRun, MeasuredRun, tuple[str, ...]], AnswerPairs] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def clean_set(self) -> str:
        """The name of the clean test set."""
        return self.track.primary_sets("clean")[0].name

    @property
    def manipulated_sets(self) -> tuple[str, ...]:
        """The names of the primary sets of the bias axes."""
        return tuple(test_set.name for axis in BIAS_AXES for test_set in self.track.primary_sets(axis))

    def of(self, parties: Sequence[Party]) -> Diagnostics:
        """Return the diagnostics of an arm, given one party per seed, at least one."""
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
                [
                    expected_calibration_error(answers.confidence, answers.right, self.scoring.calibration_bins)
                    for answers in clean
                ],
                runs,
            ),
            "nll": self._on_clean([mean_score(answers.nll) for answers in clean], runs, most=np.inf),
            "brier": self._on_clean([mean_score(answers.brier) for answers in clean], runs, most=2.0),
        }

    def _on_clean(
        self, statistics: Sequence[MaybeStatistic], runs: Sequence[MeasuredRun], *, most: float = 1.0
    ) -> Score:
        return self._averaged([{self.clean_set: statistic} for statistic in statistics], runs, least=0.0, most=most)

    def _permutation(self, runs: Sequence[MeasuredRun]) -> dict[str, Score]:
        """Compare clean answers with those to the same images with tiles permuted, averaged over permutations."""
        grids = permuted_sets(self.track)

        def score(of_pair: PairStatistic, least: float) -> Score:
            statistics = [
                {grid: _permuted(run, names, of_pair, self.clean_set) for grid, names in grids.items()} for run in runs
            ]
            return self._averaged(statistics, runs, least=least)

        return {"permutation_consistency": score(_agreement, 0.0), "permutation_kappa": score(self._kappa, -1.0)}

    def _likeness(self, parties: Sequence[Party]) -> dict[Literal["clean", "manipulated"], Likeness]:
        taught = [party for party in parties if party.teacher is not None]
        if not taught:
            return {}
        return {
            "clean": self._likeness_on(taught, (self.clean_set,)),
            "manipulated": self._likeness_on(taught, self.manipulated_sets),
        }

    def _likeness_on(self, parties: Sequence[Party], names: tuple[str, ...]) -> Likeness:
        students = [self._pairs(party.student, party.teacher, names) for party in parties if party.teacher is not None]
        independents = [pairs for party in parties if (pairs := self._of_independent(party, names)) is not None]
        taught = [run for party in parties for run in (party.student, party.teacher) if run is not None]
        trios = [*taught, *(party.independent for party in parties if party.independent is not None)]

        def score(statistics: Sequence[BySet], least: float = -1.0, most: float = 1.0) -> Score:
            return self._averaged(statistics, taught, least=least, most=most)

        def gain(of_students: Sequence[BySet], of_independents: Sequence[BySet]) -> Score:
            if len(of_independents) < len(of_students):
                return Undefined(reason="a seed has no independent student to compare with")
            gains = [differences(*both) for both in zip(of_students, of_independents, strict=True)]
            return self._averaged(gains, trios, least=-2.0, most=2.0)

        kappa, consistency = [pairs.kappa for pairs in students], [pairs.consistency for pairs in students]
        return Likeness(
            agreement=score([pairs.each(_agreement) for pairs in students], least=0.0),
            label_kappa=score(kappa),
            label_kappa_gain=gain(kappa, [pairs.kappa for pairs in independents]),
            error_consistency=score(consistency),
            error_consistency_gain=gain(consistency, [pairs.consistency for pairs in independents]),
            error_consistency_relative=score([pairs.relative_consistency for pairs in students]),
            wrong_label_agreement=score([pairs.each(self._common_mistakes) for pairs in students], least=0.0),
            divergence=score([pairs.each(_divergence) for pairs in students], least=0.0, most=np.inf)
            if all(party.own_teacher for party in parties)
            else TAUGHT_BY_ANOTHER,
        )

    def _of_independent(self, party: Party, names: tuple[str, ...]) -> AnswerPairs | None:
        """Compare the independent student of a seed with the teacher; None without one of the two."""
        if party.independent is None or party.teacher is None:
            return None
        key = party.independent, party.teacher, names
        if key not in self._independents:
            self._independents[key] = self._pairs(*key)
        return self._independents[key]

    def _pairs(self, run: MeasuredRun, teacher: MeasuredRun, names: Sequence[str]) -> AnswerPairs:
        return AnswerPairs.of(run, teacher, names, self.track.data.num_classes, self.scoring.least_errors)

    def _kappa(self, first: Answers, second: Answers) -> MaybeStatistic:
        return label_kappa(first.label, second.label, self.track.data.num_classes)

    def _common_mistakes(self, first: Answers, second: Answers) -> MaybeStatistic:
        return wrong_label_agreement(first.label, second.label, first.images.target, self.scoring.least_both_wrong)

    def _averaged(
        self,
        statistics: Sequence[Mapping[str, MaybeStatistic]],
        runs: Sequence[MeasuredRun],
        *,
        least: float,
        most: float = 1.0,
    ) -> Score:
        """Return the mean of a number over seeds and over the sets on which it is defined for every seed.

        Args:
            statistics: per seed, by test set.
            runs: that are compared.
            least, most: bounds of the number, at which its interval is cut.
        """
        shared = shared_sets([run.answers for run in runs], list(statistics[0]))
        defined = [name for name in shared if all(isinstance(of_seed.get(name), Statistic) for of_seed in statistics)]
        if not defined:
            return _why_undefined(statistics)
        units = ImageUnits.of({name: shared[name] for name in defined}, runs[0].answers[self.clean_set].images)
        averages = [
            units.average({name: number for name in defined if isinstance(number := of_seed[name], Statistic)})
            for of_seed in statistics
        ]
        score = estimate_statistics(averages, units.strata, units.count, self.scoring)
        return score.model_copy(update={"low": max(score.low, least), "high": min(score.high, most)})

    def _scalars(self, numbers: Sequence[Mapping[str, float]], party: Party) -> dict[str, Score]:
        """Return the scores of those numbers of whole runs that every seed has."""
        names = sorted(set.intersection(*(set(of_seed) for of_seed in numbers)))
        return {name: self._scalar([of_seed[name] for of_seed in numbers], party) for name in names}

    def _on_object(self, parties: Sequence[Party]) -> Score | None:
        shares = [party.on_object for party in parties if party.on_object is not None]
        return self._scalar(shares, parties[0]) if len(shares) == len(parties) else None

    def _scalar(self, values: Sequence[float], party: Party) -> Score:
        if len(values) < self.scoring.interval_seeds:
            return Undefined(reason=needs_seeds(len(values), self.scoring))
        return estimate_scalars(values, party.student.images, self.scoring)

    def _collapsed(self, runs: Sequence[MeasuredRun], name: str) -> bool:
        answers = [run.answers[name] for run in runs if name in run.answers]
        return any(has_collapsed(of_run, self.track.data.num_classes, self.scoring) for of_run in answers)


def _gains(party: Party) -> dict[str, float]:
    """Return the student's numbers minus those of independent, if both have them; counts of images are left out."""
    student, independent = party.likeness, party.independent_likeness
    names = (student.keys() & independent.keys()) - {OCCLUSION_UNDEFINED}
    return {name: student[name] - independent[name] for name in names}


def has_collapsed(answers: Answers, num_classes: int, scoring: Scoring) -> bool:
    """Return whether nearly all answers are a few classes: their entropy is below `collapse_entropy` times log C."""
    entropy = prediction_entropy(answers.label, num_classes)
    return isinstance(entropy, float) and entropy < scoring.collapse_entropy


def _agreement(first: Answers, second: Answers) -> MaybeStatistic:
    return agreement(first.label, second.label)


def _divergence(student: Answers, _: Answers) -> MaybeStatistic:
    return divergence(student.kl)


def _permuted(run: MeasuredRun, names: Sequence[str], of_pair: PairStatistic, clean_set: str) -> MaybeStatistic:
    """Return a number of the answers to clean and to permuted images of one grid, averaged over permutations."""
    permuted = [run.answers[name] for name in names if name in run.answers]
    permuted = [each for each in permuted if each.images is permuted[0].images and each.images.has_origins]
    clean = run.answers[clean_set]
    statistics = [of_pair(Answers(each.images, clean.label[each.images.index], each.kl), each) for each in permuted]
    undefined = next((statistic for statistic in statistics if isinstance(statistic, Undefined)), None)
    if undefined or not statistics:
        return undefined or Undefined(reason="there are no answers to scrambled images")
    return average([statistic for statistic in statistics if isinstance(statistic, Statistic)])


def _why_undefined(statistics: Sequence[Mapping[str, MaybeStatistic]]) -> Undefined:
    reasons = [number for of_seed in statistics for number in of_seed.values() if isinstance(number, Undefined)]
    return reasons[0] if reasons else Undefined(reason="no test set has answers from all runs that are compared")
