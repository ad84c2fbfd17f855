"""A run's way to compute, and that it leaves no trace in the process."""

import subprocess
import sys

import pytest
import torch

from lasem_core.runs.process import ProcessMap, flushes_denormals, settings
from lasem_core.spec.run_spec import RunSpec


def test_a_run_computes_without_denormals_and_leaves_the_thread_as_it_was():
    assert not flushes_denormals()
    with settings(RunSpec()):
        assert flushes_denormals() and float(torch.tensor(1e-30) * 1e-10) == 0
    assert not flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        with settings(RunSpec()):
            pass
        assert flushes_denormals()
    finally:
        torch.set_flush_denormal(False)


def test_a_run_has_the_threads_it_asks_for():
    before = torch.get_num_threads()
    with settings(RunSpec(threads=before + 1)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def precisions():
    """How CUDA would multiply float32: convolutions, matrix products, and whether the older names are of one mind."""
    backends = torch.backends
    return backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision, backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("matrix_products", ["highest", "high"])
def test_a_run_multiplies_float32_as_it_is_and_leaves_the_process_as_it_was(matrix_products):
    torch.set_float32_matmul_precision(matrix_products)
    try:
        before = precisions(), torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        assert before[0][0] == "tf32"  # torch's default
        with settings(RunSpec()):
            assert precisions() == ("ieee", "ieee", False)
        assert (precisions(), torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_so_do_the_processes_of_a_run():
    assert list(ProcessMap(2, 1)(_arithmetic, [0])) == [(("ieee", "ieee", False), True)]


def _arithmetic(_):
    return precisions(), flushes_denormals()


WATCHED = """
import torch
from lasem_core import RunSpec, train
from lasem_core.runs import run as api
from lasem_core.training import Progress

torch.set_num_threads(2)
load = api.datasets.load_stream

def load_large(*args):  # data of some size bring torch's worker threads to life
    torch.full((1_000_000,), 0.5) * 0.5
    return load(*args)

api.datasets.load_stream = load_large

class Watch(Progress):
    def epoch(self, *_):
        product = torch.full((1_000_000,), 1e-30) * 1e-10  # large enough for every thread
        print(torch.get_num_threads(), int(product.view(torch.int32).count_nonzero()))

train(RunSpec(dataset="planted", profile="smoke", threads=2, stream={"n_tasks": 1}, schedule={"epochs": 1}),
      progress=Watch())
"""


def test_every_thread_of_a_fresh_process_computes_without_denormals():
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split("\n")) == {"2 0", ""}
