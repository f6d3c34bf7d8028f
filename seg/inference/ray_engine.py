"""Prediction of image folders with Ray, on a cluster or on this machine, with several copies of a network.

All machines must see the photos, the output folder, the weights and this project under the same paths. Ray is
imported only when `run` is called.
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

import seg
from seg.errors import StreetFCNError
from seg.inference.device import Device
from seg.inference.directory import Pipeline, PredictSettings, is_finished
from seg.inference.job_plan import Job, JobResult
from seg.inference.predictor import Predictor
from seg.models.registry import verify_weights

BLOCK = 16
"""Photos per block: the unit that an actor receives, and that is repeated if the actor dies."""

RETRIES = 3
"""Number of times that a block is repeated after its actor died, before its photos fail."""


class ClusterError(StreetFCNError, ValueError):
    """A cluster that cannot be used; the message says why and how to fix it."""


def run(
    jobs: list[Job],
    settings: PredictSettings,
    registry: Path,
    device: Device = "auto",
    workers: int = 1,
    networks: int | None = None,
) -> Iterator[JobResult]:
    """Run jobs on the cluster of ``RAY_ADDRESS``, or on a temporary one on this machine.

    Args:
        jobs: the photos to predict.
        settings: the weights and how they are applied.
        registry: the folder of the weights.
        device: ``auto`` uses GPUs if the cluster has any.
        workers: reading and writing processes of each network.
        networks: number of copies of the network; by default one per GPU, or one per core.

    Yields:
        Exactly one result for each job, in any order, even if actors die.

    Raises:
        ClusterError: if the cluster cannot be reached or used.
        WeightsError: if the weights are missing or damaged.
    """
    verify_weights(settings.weights, registry)  # fail here once instead of in every actor
    ray = _ray()
    try:
        networks, resources = _plan(ray, device, networks, len(jobs))
        remaining = {os.path.abspath(job.target): job for job in jobs}
        items = [
            {"source": os.path.abspath(job.source), "target": target, "member": job.member}
            for target, job in remaining.items()
        ]
        results = ray.data.from_items(
            items, override_num_blocks=max(networks, -(-len(items) // BLOCK))
        ).map_batches(
            _Network,
            batch_size=BLOCK,
            compute=ray.data.ActorPoolStrategy(size=networks),
            fn_constructor_args=(settings, registry, device, workers, resources["num_cpus"]),
            max_task_retries=RETRIES,
            **resources,
        )
        for row in results.iter_rows():
            job = remaining.pop(row["target"])
            seconds = {name: row[name] for name in ("decode", "model", "write") if row[name]}
            yield JobResult(job, row["error"], seconds, row["note"])
        for job in remaining.values():
            yield JobResult(
                job, f"The processes for this photo, or for others in its block, died {RETRIES + 1} times."
            )
    except ray.exceptions.RayError as error:
        raise ClusterError(f"Ray stopped: {str(error).strip().splitlines()[-1]}") from error
    finally:
        ray.shutdown()


def _plan(ray: ModuleType, device: Device, networks: int | None, jobs: int) -> tuple[int, dict[str, float]]:
    """The number of networks and the resources of each. Raises `ClusterError` if the cluster lacks them."""
    gpus, cpus = (int(ray.cluster_resources().get(name, 0)) for name in ("GPU", "CPU"))
    gpus = 0 if device == "cpu" else gpus
    if device == "cuda" and not gpus:
        raise ClusterError("This cluster has no GPU. Choose --device cpu, or auto.")
    networks = min(networks or gpus or max(1, cpus), jobs)
    resources: dict[str, float] = {"num_gpus": min(1, gpus / networks), "num_cpus": 1} if gpus else {}
    resources = resources or {"num_cpus": max(1, cpus // networks)}
    if networks * resources["num_cpus"] > cpus:
        raise ClusterError(
            f"{networks} networks are too many for the {cpus} cores of this cluster. Choose fewer."
        )
    return networks, resources


def _ray() -> ModuleType:
    """Import Ray and connect to a cluster. Raises `ClusterError`."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # otherwise Ray sends usage statistics
    os.environ.setdefault(
        "RAY_BACKEND_LOG_LEVEL", "fatal"
    )  # otherwise it warns of restarts, which are expected
    try:
        import ray
        import ray.data
    except ImportError:
        raise ClusterError(
            "--engine ray needs Ray, which is not installed: pip install -r requirements/ray.txt"
        ) from None
    environment = {"env_vars": {"PYTHONPATH": str(Path(seg.__file__).parents[1])}}
    connect = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    try:
        if "RAY_ADDRESS" in os.environ:
            connect()
        else:
            connect("local", include_dashboard=False, object_store_memory=2**28)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"Ray cannot be reached or started: {str(error).splitlines()[0]}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # this release has no other way to set the number of retries
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # `run` says which photos got no answer
    return ray


class _Network:
    """Ray actor: one network, and the processes that read and write for it."""

    def __init__(
        self, settings: PredictSettings, registry: Path, device: Device, workers: int, threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self.settings = settings
        self.pipeline = Pipeline(workers)
        self.predictor = Predictor.from_pretrained(settings.weights, device, registry)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        jobs = [
            Job(str(source), str(target), str(member))
            for source, target, member in zip(batch["source"], batch["target"], batch["member"], strict=True)
        ]
        # a repeated block may contain photos that another actor finished before it died
        results = [JobResult(job) for job in jobs if is_finished(job, self.settings)]
        done = {result.job for result in results}
        try:
            pending = (job for job in jobs if job not in done)
            for result in self.pipeline.run(pending, self.predictor, self.settings):
                results.append(result)
        except OSError as error:  # such as a full disk: this block fails, the next one is tried
            done = {result.job for result in results}
            results += [JobResult(job, str(error)) for job in jobs if job not in done]
        return {
            "target": [result.job.target for result in results],
            "error": [result.error for result in results],
            "note": [result.note for result in results],
            **{
                name: [result.seconds.get(name, 0.0) for result in results]
                for name in ("decode", "model", "write")
            },
        }
