"""Judge labelled rows end to end (store and all) and compare with what people said of them.

    python -m perf.people --data FOLDER/dev --rows 20

Runs the app's own services on a database of its own, writes feedback, and prints how the judge's scores and
winners agree with people's. The rows are taken evenly over the file, so the same number is the same rows.
"""

import argparse
import tempfile
import time

from perf.options import DEV_SETS, add_data, add_home, parser_of


def main() -> None:
    options = _options()
    from scipy.stats import pearsonr, spearmanr

    from backend.benchmarks.rows import load_set
    from backend.config import read_settings
    from backend.judging import Question, RunPhase
    from launch import open_store, wire

    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(
            home=options.home,
            model=options.model,
            database_url=f"sqlite:///{folder}/people.db",
            feedback=options.feedback,
        )
        store = open_store(settings)
        services = wire(settings, store)
        services.serving.start()

        def judge(row):  # type: ignore[no-untyped-def]
            version_id = services.library.in_place(row.rubric, services.owner_id)
            question = Question(row.item, row.rubric, version_id)
            state = services.judging.start(question, settings.sampling, services.owner_id).wait()
            if state.phase is not RunPhase.DONE or state.verdict_id is None:
                raise SystemExit(state.message)
            return services.history.open(state.verdict_id, services.owner_id).result

        started = time.perf_counter()
        rows = _spread(load_set(options.data / "direct_human_mix").rows, options.rows)
        people = [row.label for row in rows]
        results = [judge(row) for row in rows]
        scores, expected = [result.score for result in results], [result.expected for result in results]
        near = sum(abs(score - person) <= 1 for score, person in zip(scores, people, strict=True))
        print(f"judge: {services.serving.state.message} feedback: {settings.feedback}")
        print(f"direct_human_mix, {len(rows)} rows, {time.perf_counter() - started:.0f} s")
        print(f"  people's scores  {[round(person, 2) for person in people]}")
        print(f"  judge's scores   {scores}")
        print(f"  within one of people's score: {near} of {len(rows)}")
        print(f"  Pearson {pearsonr(expected, people)[0]:+.3f} (expected score)", end=", ")
        print(f"Spearman {spearmanr(expected, people)[0]:+.3f}")

        started = time.perf_counter()
        rows = _spread(load_set(options.data / "pairwise_pandalm").rows, options.rows)
        labels = [row.label for row in rows]
        pairs = [judge(row) for row in rows]
        decided = [(pair.winner, label) for pair, label in zip(pairs, labels, strict=True) if label != "tie"]
        longer = ["A" if len(row.item.responses[0]) > len(row.item.responses[1]) else "B" for row in rows]
        baseline = sum(guess == label for guess, label in zip(longer, labels, strict=True) if label != "tie")
        print(f"pairwise_pandalm, {len(rows)} rows, {time.perf_counter() - started:.0f} s")
        print(f"  people  {' '.join(labels)}")
        print(f"  judge   {' '.join(pair.winner for pair in pairs)}")
        flips = sum(pair.order_sensitive for pair in pairs)
        right = sum(winner == label for winner, label in decided)
        print(f"  right without people's ties: {right} of {len(decided)}; longer response wins: {baseline}")
        print(f"  order-sensitive: {flips} of {len(pairs)}")
        services.serving.close()
        store.close()


def _spread(rows: tuple, count: int) -> tuple:
    return rows[:: max(1, len(rows) // count)][:count]


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_data(parser, DEV_SETS)
    add_home(parser)
    parser.add_argument("--model", default="starter-base")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--feedback", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
