"""Where training runs: one process on its own, or all that torchrun started."""

import atexit
import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard

from twinlab.errors import ModelError
from twinlab.train._settings import Fit


def started(settings: Fit) -> Fabric:
    """Fabric for what the settings ask of this process and, under torchrun, of the others; these wait for each other.

    Raises:
        ModelError: there is no GPU, too few of them, or a strategy for several processes and only one.
    """
    gpu = torch.cuda.is_available() if settings.accelerator == "auto" else settings.accelerator == "gpu"
    accelerator = "cuda" if gpu else "cpu"
    together = TorchElasticEnvironment.detect()
    local = int(os.environ["LOCAL_WORLD_SIZE"]) if together else 1
    if gpu and torch.cuda.device_count() < local:
        raise ModelError(
            f"{local} processes of this machine are to train on a GPU each and it has {torch.cuda.device_count()}; "
            f"start as many as there are GPUs, or give accelerator='cpu'"
        )
    if not together:
        if settings.strategy != "auto":
            raise ModelError(
                f"strategy came as {settings.strategy!r} and this process is alone; start several by "
                f"`torchrun --nproc-per-node 2 …`, or leave strategy='auto'"
            )
        return Fabric(accelerator=accelerator, devices=1, precision=settings.precision)
    world = int(os.environ["WORLD_SIZE"])
    strategy = ModelParallelStrategy(_sharded, world, 1) if settings.strategy == "fsdp2" else _ddp()
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=world // local,
        strategy=strategy,
        precision=settings.precision,
        plugins=[TorchElasticEnvironment()],
    )
    first = not distributed.is_initialized()
    fabric.launch()
    if first:
        atexit.register(_left)
    return fabric


def _left() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()  # threads of gloo that outlive the interpreter abort the process


def _ddp() -> DDPStrategy:
    return DDPStrategy(find_unused_parameters=True)  # a stage trains a part of the model only


def _sharded(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    fully_shard(module, mesh=mesh["data_parallel"])
    return module
