"""Two networks on the test sets that both have answered, with the kappas that several diagnostics are made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kdbench.scoring.answers import Answers, shared_sets
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.likeness import ErrorConsistency, error_consistency, label_kappa
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.statistic import Statistic

MaybeStatistic = Statistic | Undefined
BySet = Mapping[str, MaybeStatistic]
PairStatistic = Callable[[Answers, Answers], MaybeStatistic]


@dataclass(frozen=True, eq=False)
class AnswerPairs:
    """The answers of two networks to the same images.

    Attributes:
        pairs: the answers of both, by test set.
        kappa: agreement of the answers beyond chance, by test set.
        errors: agreement on which images are answered right, by test set.
    """

    pairs: Mapping[str, tuple[Answers, Answers]]
    kappa: BySet
    errors: Mapping[str, ErrorConsistency | Undefined]

    @classmethod
    def of(
        cls, run: MeasuredRun, teacher: MeasuredRun, names: Sequence[str], num_classes: int, least_errors: int
    ) -> "AnswerPairs":
        """Compare two networks on those of the named test sets that both have answers on.

        Args:
            run, teacher: the networks.
            names: of test sets.
            num_classes: C.
            least_errors: number of errors that either network must make.
        """
        shared = shared_sets([run.answers, teacher.answers], names)
        pairs = {name: (run.answers[name], teacher.answers[name]) for name in shared}
        return cls(
            pairs,
            {name: label_kappa(first.label, second.label, num_classes) for name, (first, second) in pairs.items()},
            {
                name: error_consistency(first.right, second.right, least_errors)
                for name, (first, second) in pairs.items()
            },
        )

    def each(self, of_pair: PairStatistic) -> BySet:
        """Return a number of every test set."""
        return {name: of_pair(*pair) for name, pair in self.pairs.items()}

    @property
    def consistency(self) -> BySet:
        """Kappa of being right, by test set."""
        return {
            name: errors.kappa if isinstance(errors, ErrorConsistency) else errors
            for name, errors in self.errors.items()
        }

    @property
    def relative_consistency(self) -> BySet:
        """The ratio of that kappa to its ceiling, by test set."""
        return {
            name: errors.relative if isinstance(errors, ErrorConsistency) else errors
            for name, errors in self.errors.items()
        }


def differences(first: BySet, second: BySet) -> BySet:
    """Return the differences of numbers on the test sets that both have; undefined where one of the two is."""
    return {name: _difference(first[name], second[name]) for name in first if name in second}


def _difference(first: MaybeStatistic, second: MaybeStatistic) -> MaybeStatistic:
    if isinstance(first, Undefined):
        return first
    return second if isinstance(second, Undefined) else first - second
