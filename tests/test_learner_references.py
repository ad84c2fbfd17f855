"""Fine-tuning, EWC and joint training: the field's reference points."""

import torch
from small_stream import environment, run, same, spec_of, stream
from torch.utils._python_dispatch import TorchDispatchMode

from lasem_core.learners.ewc import FISHER_CHUNK
from lasem_core.runs.run import make_learner
from lasem_core.training import context_of

EPOCHS = 40


def final_accuracy(method):
    model = {"weight_std": 0.2, "dropout": 0.0, "bias_init": 0.0}
    spec = spec_of(method, epochs=EPOCHS, optim={"start": 0.1}, model=model)
    _, life = run(spec, stream(n=40))
    after = [row["test_accuracy"] for row in life.accuracy if row["position"] == 2]
    return sum(after) / len(after)


def test_fine_tuning_is_the_static_network_that_transfers_all():
    fine, life = run(spec_of("fine-tune"), stream())
    static, other = run(spec_of("static", "hps", config="all"), stream())
    assert same(fine.state_dict()["shared"], static.state_dict()["shared"])
    assert same(life.accuracy, other.accuracy)


def test_joint_training_ends_above_fine_tuning():
    assert final_accuracy("joint") > final_accuracy("fine-tune") + 0.1


def test_joint_training_of_one_task_is_fine_tuning():
    joint, _ = run(spec_of("joint"), stream(n_tasks=1))
    fine, _ = run(spec_of("fine-tune"), stream(n_tasks=1))
    assert same(joint.state_dict()["shared"], fine.state_dict()["shared"])


def test_without_strength_ewc_is_fine_tuning():
    ewc, _ = run(spec_of("ewc", ewc={"strength": 0.0}), stream())
    fine, _ = run(spec_of("fine-tune"), stream())
    assert same(ewc.state_dict()["shared"], fine.state_dict()["shared"])


def test_fisher_is_the_mean_squared_gradient_of_the_log_likelihood():
    tasks = stream(n_tasks=1)
    learner, _ = run(spec_of("ewc"), tasks)
    split, weight = tasks.tasks[0].train, learner.shared[1]["weight"].requires_grad_()
    squares = torch.zeros_like(weight)
    for image, label in zip(split.images, split.labels, strict=True):
        network = learner._network(0)
        logits = network.logits(network.features(image[None], learner._trie(learner.space.configs)))[0, 0]
        squares += torch.autograd.grad(logits.log_softmax(0)[label], weight)[0] ** 2
    torch.testing.assert_close(learner.fisher[2], squares.detach() / len(split), rtol=1e-4, atol=1e-9)


class Convolutions(TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += "convolution" in function.overloadpacket.__name__
        return function(*args, **(kwargs or {}))


def test_fisher_takes_many_images_together():
    calls = []
    for n in (FISHER_CHUNK // 2, FISHER_CHUNK):
        learner, tasks = make_learner(environment(spec_of("ewc"))), stream(n_tasks=1, n=n)
        learner.begin_task(context_of(learner.env, tasks, 0))
        with Convolutions() as counted:
            learner._estimate_fisher()
        calls.append(counted.n)
    assert calls[0] == calls[1] > 0


def test_the_gradient_is_that_of_the_sum_of_quadratic_penalties():
    ewc, _ = run(spec_of("ewc", ewc={"strength": 7.0}), stream(n_tasks=1))
    anchors, fishers = [[t.clone() for t in ewc.shared_tensors()]], [[f.clone() for f in ewc.fisher]]
    ewc, _ = run(spec_of("ewc", ewc={"strength": 7.0}), stream(n_tasks=2))
    anchors.append([t.clone() for t in ewc.shared_tensors()])
    fishers.append([total - first for total, first in zip(ewc.fisher, fishers[0], strict=True)])
    for tensor in ewc.shared_tensors():
        tensor += 0.1
    pulls = ewc.regularise([torch.zeros_like(tensor) for tensor in ewc.shared_tensors()])
    for i, (pull, tensor) in enumerate(zip(pulls, ewc.shared_tensors(), strict=True)):
        expected = 7.0 * sum(f[i] * (tensor - a[i]) for f, a in zip(fishers, anchors, strict=True))
        torch.testing.assert_close(pull, expected, rtol=1e-3, atol=1e-9)


def test_a_penalty_moves_the_network_back_to_where_it_was():
    ewc, _ = run(spec_of("ewc", ewc={"strength": 1e6}), stream(n_tasks=1))
    before = [tensor.clone() for tensor in ewc.shared_tensors()]
    for tensor in ewc.shared_tensors():
        tensor += 0.01
    pulls = ewc.regularise([torch.zeros_like(tensor) for tensor in before])
    assert all((pull * 0.01 >= 0).all() for pull in pulls)
    assert any((pull > 0).any() for pull in pulls)
