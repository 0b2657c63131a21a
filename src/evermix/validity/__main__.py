"""``python -m evermix.validity run`` and ``publish``: what ``make validity`` calls."""

from __future__ import annotations

import argparse
from pathlib import Path

from evermix.config import ModelParams, load_params
from evermix.validity.replicate import SCENARIOS, study_params
from evermix.validity.study import MCMC_SCENARIOS, SHIPPED_FITS, Job, merge_shards, run_job

FOLDER = Path("docs/validity")
MODEL = "brand"


def main() -> None:
    """Run a shard of the study, or publish what all shards found."""
    parser = argparse.ArgumentParser(prog="python -m evermix.validity", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="compute the rows of one shard that are not there yet")
    run.add_argument(
        "--replicates",
        type=int,
        default=1000,
        help="seeds 1 to this one, by the surrogate",
    )
    run.add_argument("--mcmc", type=int, default=50, help="seeds 1 to this one, by MCMC")
    run.add_argument("--shard", type=int, default=0)
    run.add_argument("--shards", type=int, default=1)
    verbs.add_parser("publish", help="merge the shards and write docs/validity.md with its plots")
    args = parser.parse_args()
    params = study_params(load_params(Path("params.yaml")).models[MODEL])
    if args.verb == "run":
        for job in list_jobs(args.replicates, args.mcmc, args.shard, args.shards):
            run_job(FOLDER, job, params, lambda text: print(text, flush=True))
        return
    publish(params)


def list_jobs(replicates: int, mcmc: int, shard: int, shards: int) -> list[Job]:
    """Return all jobs of a shard, the quick ones first."""
    quick = [Job("surrogate", scenario, range(1, replicates + 1), shard, shards) for scenario in SCENARIOS]
    exact = [Job("mcmc", scenario, range(1, mcmc + 1), shard, shards) for scenario in MCMC_SCENARIOS]
    return [*quick, *exact, Job("shipped", "nothing", range(1, min(mcmc, SHIPPED_FITS) + 1), shard, shards)]


def publish(params: ModelParams) -> None:
    """Merge shards, then write the page and its plots."""
    from evermix.validity.publish import write_page

    for job in list_jobs(0, 0, 0, 1):
        merge_shards(FOLDER, job, params)
    write_page(FOLDER, params)


if __name__ == "__main__":
    main()
