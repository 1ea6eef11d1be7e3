"""Every figure of the agreement page on real labels beside scikit-learn, SciPy, statsmodels, krippendorff and evalica.

    python -m perf.agreement_sets --data FOLDER/dev --home HOME --rows 100     # once: the projects, judged
    python -m perf.agreement_peers --home HOME

The other packages get the rows straight from the tables, by SQL of this script. Figures must be equal to 1e-6, but for
two kinds: bootstrap intervals are drawn anew (SciPy's BCa), so they are near, and evalica stops its fit earlier. Ends
with 1 if a figure differs.
"""

import sys
from collections import defaultdict
from typing import Any

import numpy
from evalica import Winner, bradley_terry
from krippendorff import alpha as krippendorff_alpha
from scipy import stats
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression
from sqlalchemy import create_engine, text
from statsmodels.api import OLS, add_constant
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from backend.agreement.calibration import FOLDS, fold_of
from backend.agreement_report import Report
from backend.agreement_rows import Selection
from backend.comparing import Comparing
from backend.types import Mode
from backend.users import owner
from db.session import Store
from perf.agreement_sets import SETS
from perf.options import add_home, parser_of

EXACT, NEAR = 1e-6, 0.05
"""How far figures may differ, and the ends of bootstrap intervals."""
ROWS = """
    SELECT pi.item_id, pi.rubric_version_id, pi.imported_labels, pi.sources, v.id AS verdict_id,
           v.score, v.winner, v.expected_score, v.confidence, v.p_a, v.p_a_first, v.p_a_second
    FROM project_items pi
    JOIN verdicts v ON v.item_id = pi.item_id AND v.rubric_version_id = pi.rubric_version_id AND v.status = 'read'
    WHERE pi.project_id = :project ORDER BY pi.item_id, pi.rubric_version_id
"""
TEXTS = "SELECT item_id, position, text FROM responses"


class Table:
    """Prints a figure a line, ours and theirs, and remembers what differs."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.count = 0

    def line(self, name: str, whose: str, ours: float | None, theirs: float, tolerance: float = EXACT) -> None:
        near = ours is not None and abs(ours - theirs) <= tolerance
        self.count += 1
        if not near:
            self.wrong.append(name)
        shown = "none" if ours is None else f"{ours:.6f}"
        print(f"  {name:<44} {shown:>12} {theirs:>12.6f}  {whose:<26}{'' if near else ' DIFFERS'}")

    def interval(self, name: str, whose: str, stat: Any, low: float, high: float, tolerance: float = EXACT) -> None:
        self.line(f"{name}, low", whose, stat.low, low, tolerance)
        self.line(f"{name}, high", whose, stat.high, high, tolerance)


def main() -> int:
    parser = parser_of(__doc__)
    add_home(parser, required=True)
    options = parser.parse_args()
    url = f"sqlite:///{options.home / 'assay.db'}"
    store = Store(url)
    store.migrate()
    engine = create_engine(url)
    table = Table()
    with engine.connect() as connection:
        projects = dict(connection.execute(text("SELECT name, id FROM projects")).all())
        lengths = {(item, place): len(words) for item, place, words in connection.execute(text(TEXTS))}
        for name, mode in SETS.items():
            if name not in projects:
                print(f"{name} is no project of this home yet: run perf.agreement_sets.")
                continue
            rows = connection.execute(text(ROWS), {"project": projects[name]}).mappings().all()
            report = Comparing(store).report(Selection(mode, project_id=projects[name]), owner(store))
            print(f"\n{name}: {report.counts.compared} labels of {len(rows)} judged items; ours, theirs")
            _compare(table, mode, report, _labels(rows, mode), [dict(row) for row in rows], lengths)
    store.close()
    print(f"\n{table.count} figures, {len(table.wrong)} differ{': ' + ', '.join(table.wrong) if table.wrong else ''}")
    return 1 if table.wrong else 0


def _labels(rows: Any, mode: Mode) -> list[tuple[int, int, float]]:
    """(row, rater's place, value) of every imported label that is whole: a score, or A 0, B 1, tie 2."""
    import json

    found = []
    for number, row in enumerate(rows):
        for place, said in enumerate(json.loads(row["imported_labels"] or "null") or []):
            value = {"A": 0, "B": 1, "tie": 2}[said] if mode is Mode.PAIRWISE else float(said)
            if value == int(value):
                found.append((number, place, value))
    return found


def _compare(table: Table, mode: Mode, report: Report, labels: Any, rows: Any, lengths: Any) -> None:
    item = numpy.array([row for row, _, _ in labels])
    rater = numpy.array([place for _, place, _ in labels])
    person = numpy.array([value for _, _, value in labels])
    if mode is Mode.DIRECT:
        model = numpy.array([rows[n]["score"] for n in item], dtype=float)
        expected = numpy.array([rows[n]["expected_score"] for n in item])
        said, error, values = person, numpy.abs(model - person), [1, 2, 3, 4, 5]
        length = numpy.log2([max(1, lengths[rows[n]["item_id"], 0]) for n in item])
        lean = model - person
        _scores(table, report, model, person, item)
        _recalibrated(table, report, expected, person, item, rows)
    else:
        winner = {"A": 0, "B": 1, "tie": 2}
        gets = numpy.array([1.0, 0.0, 0.5])
        model = numpy.array([winner[rows[n]["winner"]] for n in item], dtype=float)
        expected = numpy.array([rows[n]["p_a"] for n in item])
        said, error, values = gets[person.astype(int)], (model != person).astype(float), [0, 1, 2]
        a, b = (numpy.array([lengths[rows[n]["item_id"], place] for n in item]) for place in (0, 1))
        length = numpy.log2(numpy.maximum(a, 1)) - numpy.log2(numpy.maximum(b, 1))
        lean = gets[model.astype(int)] - said
        _winners(table, report, model, person, a, b, rows)
    matrix = numpy.full((rater.max() + 1, len(rows)), numpy.nan)
    matrix[rater, item] = person
    _ceiling(table, mode, report, matrix, rows, values)
    _alternative(table, mode, report, matrix, rows)
    _means(table, mode, report, item, said, expected, rows)
    _clustered(table, report, item, rater, error, length, lean)
    _confidence(table, report, item, error, rows)


def _scores(table: Table, report: Report, model: Any, person: Any, item: Any) -> None:
    ours = {name: stat.value for name, stat in report.scores.stats.items()}
    kappa = metrics.cohen_kappa_score
    scale = [1, 2, 3, 4, 5]
    table.line("exactly the same", "sklearn accuracy_score", ours["exact"], metrics.accuracy_score(person, model))
    table.line("at most one apart", "numpy", ours["within_one"], float((abs(model - person) <= 1).mean()))
    for name in ("quadratic", "linear"):
        theirs = kappa(model, person, weights=name, labels=scale)
        table.line(f"{name} kappa", "sklearn cohen_kappa_score", ours[f"{name}_kappa"], theirs)
    table.line("quadratic kappa", "statsmodels cohens_kappa", ours["quadratic_kappa"],
               cohens_kappa(numpy.array(report.scores.matrix), wt="quadratic").kappa)  # fmt: skip
    alpha = krippendorff_alpha(numpy.array([model, person]), level_of_measurement="ordinal", value_domain=scale)
    table.line("Krippendorff's alpha", "krippendorff alpha", ours["alpha"], alpha)
    table.line("Pearson", "scipy pearsonr", ours["pearson"], stats.pearsonr(model, person).statistic)
    table.line("Spearman", "scipy spearmanr", ours["spearman"], stats.spearmanr(model, person).statistic)
    table.line("Kendall's tau-b", "scipy kendalltau", ours["kendall"], stats.kendalltau(model, person).statistic)
    table.line("mean absolute error", "sklearn", ours["absolute_error"], metrics.mean_absolute_error(person, model))
    table.line("bias", "numpy", ours["bias"], float((model - person).mean()))
    confusion = metrics.confusion_matrix(model, person, labels=scale)
    table.line("confusion, largest difference of a cell", "sklearn confusion_matrix",
               float(abs(confusion - numpy.array(report.scores.matrix)).max()), 0.0)  # fmt: skip
    for name, figure in (
        ("quadratic_kappa", lambda x, y: kappa(x, y, weights="quadratic", labels=scale)),
        ("pearson", lambda x, y: stats.pearsonr(x, y).statistic),
        ("absolute_error", metrics.mean_absolute_error),
    ):
        _drawn(table, name, report.scores.stats[name], figure, model, person, item)


def _drawn(table: Table, name: str, stat: Any, figure: Any, model: Any, person: Any, item: Any) -> None:
    """SciPy's BCa bootstrap of whole items."""
    of_item = [numpy.flatnonzero(item == one) for one in numpy.unique(item)]

    def drawn(places: Any) -> float:
        chosen = numpy.concatenate([of_item[int(place)] for place in places])
        return float(figure(model[chosen], person[chosen]))

    found = stats.bootstrap((numpy.arange(len(of_item)),), drawn, method="BCa", n_resamples=1_000, vectorized=False,
                            rng=numpy.random.default_rng(1)).confidence_interval  # fmt: skip
    table.interval(f"{name}, BCa", "scipy bootstrap", stat, found.low, found.high, NEAR)


def _recalibrated(table: Table, report: Report, expected: Any, person: Any, item: Any, rows: Any) -> None:
    fold = fold_of(numpy.array([rows[n]["item_id"] for n in item]))
    held_out = numpy.empty(len(expected))
    for number in range(FOLDS):
        inside = fold == number
        fitted = IsotonicRegression(out_of_bounds="clip").fit(expected[~inside], person[~inside])
        held_out[inside] = fitted.predict(expected[inside])
    name = "sklearn IsotonicRegression"
    table.line("error of the expected score", "numpy", report.recalibration.before.value, abs(expected - person).mean())
    table.line("error when recalibrated", name, report.recalibration.after.value, abs(held_out - person).mean())


def _winners(table: Table, report: Report, model: Any, person: Any, a: Any, b: Any, rows: Any) -> None:
    ours = {name: stat.value for name, stat in report.winners.stats.items()}
    table.line("the same, ties counted", "sklearn", ours["with_ties"], metrics.accuracy_score(person, model))
    decided = (model != 2) & (person != 2)
    table.line("the same, neither said tie", "sklearn", ours["without_ties"],
               metrics.accuracy_score(person[decided], model[decided]))  # fmt: skip
    table.line("kappa", "sklearn cohen_kappa_score", ours["kappa"], metrics.cohen_kappa_score(model, person))
    table.line("kappa", "statsmodels cohens_kappa", ours["kappa"],
               cohens_kappa(numpy.array(report.winners.matrix)).kappa)  # fmt: skip
    alpha = krippendorff_alpha(numpy.array([model, person]), level_of_measurement="nominal", value_domain=[0, 1, 2])
    table.line("Krippendorff's alpha", "krippendorff alpha", ours["alpha"], alpha)
    labelled = [row for row in rows if row["imported_labels"] not in (None, "null")]
    first, second = (numpy.array([row[key] for row in labelled]) for key in ("p_a_first", "p_a_second"))
    flips = (first > 0.5) != (second > 0.5)
    wins = int((first > 0.5).sum() + (second < 0.5).sum())
    _share(table, "the two orders differ", report.position.flips, int(flips.sum()), len(flips))
    _share(table, "the first slot wins", report.position.first_slot, wins, 2 * len(first))
    longer, unequal = numpy.where(a > b, 0, 1), a != b
    for name, said, share in (("model", model, report.longer.model), ("people", person, report.longer.people)):
        counted = unequal & (said != 2)
        _share(table, f"the longer wins, by {name}", share, int((said == longer)[counted].sum()), int(counted.sum()))


def _share(table: Table, name: str, share: Any, count: int, n: int) -> None:
    low, high = proportion_confint(count, n, method="wilson")
    table.line(name, "numpy", share.value, count / n)
    table.interval(name, "statsmodels, Wilson", share, low, high)


def _ceiling(table: Table, mode: Mode, report: Report, matrix: Any, rows: Any, values: list[int]) -> None:
    level = "ordinal" if mode is Mode.DIRECT else "nominal"
    key = "score" if mode is Mode.DIRECT else "winner"
    numbers = {"A": 0, "B": 1, "tie": 2}
    model = numpy.array([float(numbers.get(row[key], row[key])) for row in rows])
    labelled = ~numpy.isnan(matrix).all(0)
    alpha = krippendorff_alpha(matrix[:, labelled], level_of_measurement=level, value_domain=values)
    table.line("alpha of people", "krippendorff alpha", report.ceiling.people["alpha"].value, alpha)
    with_model = numpy.vstack([matrix, model])[:, labelled]
    alpha = krippendorff_alpha(with_model, level_of_measurement=level, value_domain=values)
    table.line("alpha with the model", "krippendorff alpha", report.ceiling.with_model["alpha"].value, alpha)
    names = list(report.ceiling.names)
    raters = {f"imported {place + 1}": row for place, row in enumerate(matrix)}
    raters |= {name: model for name in names if name.endswith("(model)")}
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            ours = report.ceiling.everybody.agreement[i][j]
            both = ~numpy.isnan(raters[one]) & ~numpy.isnan(raters[other])
            if ours is None:
                continue
            x, y = raters[one][both], raters[other][both]
            if mode is Mode.DIRECT:
                theirs = metrics.cohen_kappa_score(x, y, weights="quadratic", labels=values)
            else:
                theirs = metrics.accuracy_score(x, y)
            table.line(f"{one} and {other.removesuffix(' (model)')}"[:44], "sklearn", ours, theirs)


def _alternative(table: Table, mode: Mode, report: Report, matrix: Any, rows: Any) -> None:
    """The test of Calderon et al. by its definition, item by item, with SciPy's t test."""
    if report.alternative.winning_rate is None:
        print(f"  alternative annotator test: {report.alternative.missing}")
        return
    numbers = {"A": 0, "B": 1, "tie": 2}
    key = "score" if mode is Mode.DIRECT else "winner"
    model = [float(numbers.get(row[key], row[key])) for row in rows]
    p_values = []
    for against, name in zip(report.alternative.people, report.alternative_names, strict=True):
        lag = []
        own_row = int(name.removeprefix("imported ")) - 1
        for n, own in enumerate(matrix[own_row]):
            others = [x for place, x in enumerate(matrix[:, n]) if place != own_row and not numpy.isnan(x)]
            if numpy.isnan(own) or not others:
                continue
            near = [_near(said, others, ordinal=mode is Mode.DIRECT) for said in (model[n], own)]
            lag.append(float(near[1] >= near[0]) - float(near[0] >= near[1]))
        test = stats.ttest_1samp(lag, 0.2, alternative="less")
        table.line(f"alternative test, p against {name}", "scipy ttest_1samp", against.p_value, float(test.pvalue))
        p_values.append(float(test.pvalue))
    rejected = multipletests(p_values, alpha=0.05, method="fdr_by")[0]
    table.line("winning rate", "statsmodels multipletests", report.alternative.winning_rate, float(rejected.mean()))


def _near(said: float, others: list[float], *, ordinal: bool) -> float:
    if ordinal:
        return round(-((sum((x - said) ** 2 for x in others) / len(others)) ** 0.5), 12)
    return sum(x == said for x in others) / len(others)


def _means(table: Table, mode: Mode, report: Report, item: Any, said: Any, expected: Any, rows: Any) -> None:
    """People's mean, the model's, and PPI++ by its formulas, over all items and over each source."""
    by_item = defaultdict(list)
    for n, value in zip(item, said, strict=True):
        by_item[int(n)].append(value)
    key = "expected_score" if mode is Mode.DIRECT else "p_a"
    labels = {n: float(numpy.mean(values)) for n, values in by_item.items()}
    verdicts = {n: row[key] for n, row in enumerate(rows)}
    _powered(table, "all", report.powered[0].mean, labels, verdicts)
    sources = report.sources.found if report.sources else ()
    sides = {n: _names(row["sources"]) for n, row in enumerate(rows)}
    for source in sources:
        if source.mean.powered.value is None:
            continue
        mine = {n: names.index(source.name) for n, names in sides.items() if source.name in names}

        def turned(values: dict[int, float], mine: dict[int, int] = mine) -> dict[int, float]:
            return {n: 1 - values[n] if place else values[n] for n, place in mine.items() if n in values}

        _powered(table, source.name, source.mean, turned(labels), turned(verdicts))
    if sources and mode is Mode.PAIRWISE:
        _strengths(table, report, item, said, rows, sides)


def _names(sources: str | None) -> list[str]:
    import json

    return json.loads(sources or "null") or []


def _powered(table: Table, name: str, ours: Any, labels: dict[int, float], verdicts: dict[int, float]) -> None:
    y, f = (numpy.array([values[n] for n in labels]) for values in (labels, verdicts))
    g = numpy.array([value for n, value in verdicts.items() if n not in labels])
    n = len(y)
    interval = stats.t.interval(0.95, n - 1, y.mean(), stats.sem(y))
    table.line(f"{name}: labels alone", "numpy", ours.people.value, y.mean())
    table.interval(f"{name}: labels alone", "scipy t.interval", ours.people, *interval)
    table.line(f"{name}: verdicts alone", "numpy", ours.model, float(numpy.mean(list(verdicts.values()))))
    if len(g):
        variance = (n * numpy.var(f) + len(g) * numpy.var(g)) / (n + len(g))
        trust = numpy.cov(y, f, ddof=1)[0, 1] / ((1 + n / len(g)) * variance)
        trust = float(numpy.clip(trust, 0, 1))
        value = (y - trust * f).mean() + trust * g.mean()
        error = numpy.sqrt(numpy.var(y - trust * f, ddof=1) / n + trust**2 * numpy.var(g) / len(g))
    else:
        value, error = y.mean(), stats.sem(y)
    table.line(f"{name}: both", "PPI++ by its formulas", ours.powered.value, value)
    half = stats.t.ppf(0.975, n - 1) * error
    table.interval(f"{name}: both", "PPI++ by its formulas", ours.powered, value - half, value + half)


def _strengths(table: Table, report: Report, item: Any, said: Any, rows: Any, sides: Any) -> None:
    gets = {"A": 1.0, "B": 0.0, "tie": 0.5}
    by_people = [(*sides[int(n)], value) for n, value in zip(item, said, strict=True)]
    by_model = [(*sides[n], gets[row["winner"]]) for n, row in enumerate(rows)]
    orders = []
    for key, whose, played in (
        ("strength_by_people", "people", by_people), ("strength_by_model", "model", by_model)
    ):  # fmt: skip
        pairs = sorted({tuple(sorted(one[:2])) for one in played})
        everything = [*played, *((a, b, 0.5) for a, b in pairs)]
        result = bradley_terry(
            [a for a, _, _ in everything], [b for _, b, _ in everything],
            [{1.0: Winner.X, 0.0: Winner.Y, 0.5: Winner.Draw}[points] for *_, points in everything],
            tolerance=1e-12, limit=100_000,
        )  # fmt: skip
        logs = numpy.log(result.scores)
        logs = logs - logs.mean()
        for source in report.sources.found:
            value = getattr(source, key).value
            table.line(f"strength of {source.name} by {whose}", "evalica bradley_terry", value, logs[source.name], 1e-5)
        orders.append([logs[source.name] for source in report.sources.found])
    table.line("tau between the orders", "scipy kendalltau", report.sources.tau, stats.kendalltau(*orders).statistic)


def _clustered(table: Table, report: Report, item: Any, rater: Any, error: Any, length: Any, lean: Any) -> None:
    """Means, gaps and slopes by least squares with errors that are robust to clusters of one item."""

    def fitted(y: Any, x: Any) -> Any:
        robust = {"groups": item, "use_correction": False}
        return OLS(y, x).fit(cov_type="cluster", cov_kwds=robust, use_t=True)

    slope = fitted(lean, add_constant(length))
    degrees = len(numpy.unique(item)) - 1
    half = stats.t.ppf(0.975, degrees) * slope.bse[1]
    table.line("model less person, per doubling", "statsmodels OLS", report.verbosity.value, slope.params[1])
    table.interval("model less person, per doubling", "statsmodels OLS, cluster", report.verbosity,
                   slope.params[1] - half, slope.params[1] + half)  # fmt: skip
    for part in report.slices:
        if part.by != "person":
            continue
        inside = (rater == int(part.name.removeprefix("imported ")) - 1).astype(float)
        gap = fitted(error, add_constant(inside))
        table.line(f"error of {part.name}", "numpy", part.error.value, error[inside == 1].mean())
        table.line(f"gap of {part.name}", "statsmodels OLS", part.gap.value, gap.params[1])
        if part.gap.low is not None:
            half = stats.t.ppf(0.975, degrees) * gap.bse[1]
            table.interval(f"gap of {part.name}", "statsmodels OLS, cluster", part.gap,
                           gap.params[1] - half, gap.params[1] + half)  # fmt: skip


def _confidence(table: Table, report: Report, item: Any, error: Any, rows: Any) -> None:
    sure = numpy.array([rows[n]["confidence"] for n in item], dtype=float)
    right = (error == 0).astype(float)[~numpy.isnan(sure)]
    sure = sure[~numpy.isnan(sure)]
    if not len(sure):
        return
    bins = numpy.minimum((sure * 10).astype(int), 9)
    known = numpy.unique(bins)
    theirs = sum((bins == b).mean() * abs(right[bins == b].mean() - sure[bins == b].mean()) for b in known)
    table.line("expected calibration error", "Guo et al. by its formula", report.reliability.error.value, float(theirs))
    for one, b in zip(report.reliability.bins, known, strict=True):
        low, high = proportion_confint(int(right[bins == b].sum()), int((bins == b).sum()), method="wilson")
        table.interval(f"right at confidence {one.confidence:.2f}", "statsmodels, Wilson", one.right, low, high)


if __name__ == "__main__":
    sys.exit(main())
