"""How long the statistical forecaster takes: a first fit, a later one, and 1,000 candidates; and tuning on 1,000 outcomes.

    python benchmarks/surrogates/speed.py benchmarks/landscapes/*.landscape.json.xz
"""

from __future__ import annotations

import argparse
import time

from ksearch.forecasting.outcomes import load_sources, replayed, unjudged
from ksearch.surrogates.neighbours import Neighbours
from ksearch.surrogates.statistical import Statistical
from ksearch.surrogates.tuning import tune


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("landscapes", nargs="+")
    options = parser.parse_args()
    sources = load_sources(options.landscapes, None, 400)
    forecaster, first = Statistical(), sources[0]
    for source in sources[1:]:
        for sample in source.samples[:100]:
            forecaster.learn(sample)
    here = first.samples
    for sample in here[: len(here) // 2]:
        forecaster.learn(sample)
    asked = [unjudged(here[index % len(here)]) for index in range(1000)]
    timed(f"first fit on {len(forecaster.known)} samples, weights searched", lambda: forecaster.forecast(asked[0]))
    forecaster.learn(here[len(here) // 2])
    timed("fit on one sample more", lambda: forecaster.forecast(asked[0]))
    timed("1,000 candidates", lambda: forecaster.forecast_many(asked))
    judged = [one for source in sources for one in replayed(Neighbours(), source).judged]
    judged = (judged * (1000 // len(judged) + 1))[:1000]
    timed("tune on 1,000 outcomes", lambda: tune(judged, sigma_noise=0.02))


def timed(what: str, work) -> None:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    work()
    print(f"{what:<50} {time.perf_counter() - began:8.2f} s")


if __name__ == "__main__":
    main()
