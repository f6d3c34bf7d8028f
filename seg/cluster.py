"""The jobs of a folder on a Ray cluster, or on a Ray of this machine's own: many networks, on GPUs or on cores.

Every machine must see the photos, the masks' folder, the weights and this project under the same paths. Ray is imported only here
and only when it is used.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from seg import weights
from seg.folder import Job, Outcome, Pipeline, Settings, is_finished
from seg.predict import Device, Predictor

BLOCK = 16
"""So many photos are handed out at a time; they are also what is done again, or looked through, after an actor died."""

RETRIES = 3
"""So often a block is handed out again whose actor died, before its photos are given up."""


class ClusterError(ValueError):
    """A cluster that cannot be used; the message says why and what to do."""


def run(
    jobs: list[Job], settings: Settings, registry: Path, device: Device = "auto", workers: int = 1, networks: int | None = None
) -> Iterator[Outcome]:
    """Does the jobs, in no order, and yields what became of each, once for each job, whatever dies meanwhile.

    `registry` is the folder of the weights, `workers` those of each network's `Pipeline`. Goes to the cluster of ``RAY_ADDRESS``;
    without it, starts one on this machine and ends it again. Raises `ClusterError` and `weights.WeightsError`.
    """
    weights.verify(settings.weights, registry)  # before every network finds out by itself
    ray = _ray()
    try:
        gpus, cpus = (int(ray.cluster_resources().get(name, 0)) for name in ("GPU", "CPU"))
        gpus = 0 if device == "cpu" else gpus
        if device == "cuda" and not gpus:
            raise ClusterError("This cluster has no GPU. Choose --device cpu, or auto.")
        networks = min(networks or gpus or max(1, cpus), len(jobs))
        share = {"num_gpus": min(1, gpus / networks), "num_cpus": 1} if gpus else {"num_cpus": max(1, cpus // networks)}
        if networks * share["num_cpus"] > cpus:
            raise ClusterError(f"{networks} networks are too many for the {cpus} cores of this cluster; ask for fewer.")
        left = {os.path.abspath(job.target): job for job in jobs}
        items = [{"source": os.path.abspath(job.source), "target": target} for target, job in left.items()]
        answers = ray.data.from_items(items, override_num_blocks=max(networks, -(-len(items) // BLOCK))).map_batches(
            _Network,
            batch_size=BLOCK,
            compute=ray.data.ActorPoolStrategy(size=networks),
            fn_constructor_args=(settings, registry, device, workers, share["num_cpus"]),
            max_task_retries=RETRIES,
            **share,
        )
        for row in answers.iter_rows():
            job = left.pop(row["target"])
            yield Outcome(job, row["error"], {name: row[name] for name in ("decode", "model", "write") if row[name]})
        for job in left.values():
            yield Outcome(job, f"The processes that worked on it, or on photos beside it, died, {RETRIES + 1} times.")
    except ray.exceptions.RayError as error:
        raise ClusterError(f"Ray gave up: {str(error).strip().splitlines()[-1]}") from error
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    """Ray, connected. Raises `ClusterError`."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or it reports to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # or it warns of restarts, which are expected here
    try:
        import ray
        import ray.data
    except ImportError:
        raise ClusterError("--engine ray needs Ray, which is not installed: pip install -r requirements/ray.txt") from None
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent.parent)}}
    start = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    try:
        if "RAY_ADDRESS" in os.environ:
            start()
        else:
            start("local", include_dashboard=False, object_store_memory=2**28)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"Ray cannot be reached or started: {str(error).splitlines()[0]}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")  # this release has no other way to say how many retries
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # `run` says which photos got no answer
    return ray


class _Network:
    """What an actor is made of: one network, and the processes that read and write for it."""

    def __init__(self, settings: Settings, registry: Path, device: Device, workers: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.settings = settings
        self.pipeline = Pipeline(workers)
        self.predictor = Predictor.of(settings.weights, device, registry)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        jobs = [Job(str(source), str(target)) for source, target in zip(batch["source"], batch["target"], strict=True)]
        found = [Outcome(job) for job in jobs if is_finished(job, self.settings)]  # by an actor that died over the others
        done = {outcome.job for outcome in found}
        try:
            for outcome in self.pipeline.run((job for job in jobs if job not in done), self.predictor, self.settings):
                found.append(outcome)
        except OSError as error:  # a full disk, say: whether the next photos fit, they find out themselves
            done = {outcome.job for outcome in found}
            found += [Outcome(job, str(error)) for job in jobs if job not in done]
        seconds = {name: [outcome.seconds.get(name, 0.0) for outcome in found] for name in ("decode", "model", "write")}
        return {"target": [outcome.job.target for outcome in found], "error": [outcome.error for outcome in found], **seconds}
