"""APD-Net: masks, sparse corrections, anchors that keep earlier filters."""

import torch
from small_stream import environment, run, spec_of, stream
from torch.utils._python_dispatch import TorchDispatchMode

from lasem_core.training import context_of


def thetas(learner, number):
    return [learner.theta(number, position).detach().clone() for position in range(3)]


def largest_change(anchor, lr):
    """How far task 0's filters move, at most, while two more tasks are learned."""
    options = {"apd": {"anchor": anchor}, "optim": {"lr": lr}, "epochs": 20}
    first, _ = run(spec_of("apd", **options), stream(n_tasks=1))
    last, _ = run(spec_of("apd", **options), stream(n_tasks=3))
    return max((a - b).abs().max().item() for a, b in zip(thetas(first, 0), thetas(last, 0), strict=True))


def test_anchors_keep_earlier_filters():
    """At a very large anchor RMSProp, whose steps have the size of the learning rate whatever the gradient's,
    oscillates around the old filters: within a few learning rates is what it can hold."""
    lr = 1e-3
    assert largest_change(100.0, lr) < largest_change(0.0, lr) / 3
    assert largest_change(1e6, lr) < 5 * lr


def test_theta_is_a_masked_shared_filter_plus_a_correction():
    learner, _ = run(spec_of("apd"), stream())
    own = learner.own[1][2]
    assert own["mask"].shape == (6, 1, 1, 1)
    expected = learner.shared[2]["weight"] / (1 + (-own["mask"]).exp()) + own["tau"]
    torch.testing.assert_close(learner.theta(1, 2), expected)


def stored(learner):
    return sum(t.numel() * t.element_size() for t in learner.stored_tensors()["task0"])


def test_small_corrections_are_dropped_and_need_no_memory():
    dense, _ = run(spec_of("apd", apd={"l1": 0.0}), stream())
    sparse, _ = run(spec_of("apd", apd={"l1": 0.05}), stream())
    kept = torch.cat([group["tau"].flatten() for group in sparse.own[0]])
    assert (kept == 0).float().mean() > 0.5
    assert kept[kept != 0].abs().min() > 0.05
    assert stored(sparse) < stored(dense)


def test_released_masks_are_element_wise_and_nothing_old_is_trained():
    spec = spec_of("apd", preset="released")
    first, _ = run(spec, stream(n_tasks=1))
    last, _ = run(spec, stream(n_tasks=3))
    for a, b in zip(first.own[0], last.own[0], strict=True):
        assert set(a) == {"tau", "mask"}
        assert a["mask"].shape == a["tau"].shape
        assert torch.equal(a["tau"], b["tau"])
        assert torch.equal(a["mask"], b["mask"])


def penalty_one_by_one(learner, targets):
    """Eq. 2's last two sums, tensor by tensor."""
    spec, earlier = learner.spec.apd, learner._earlier()
    taus = [group["tau"] for n in (*earlier, learner.current.number) for group in learner.own[n]]
    drifts = [(old - learner.theta(n, p)).square().sum() for n in earlier for p, old in enumerate(targets[n])]
    return spec.l1 * sum(tau.abs().sum() for tau in taus) + spec.anchor * sum(drifts)


def moved_away(n_tasks):
    """A learner in its last task, all of it a little moved, and the filters of the earlier tasks before that."""
    options = {"apd": {"l1": 0.01}, "precision": "fp64"}
    learner, _ = run(spec_of("apd", epochs=0, **options), stream(n_tasks - 1))
    env, tasks = environment(spec_of("apd", **options)), stream(n_tasks)
    learner.begin_task(context_of(env, tasks, n_tasks - 1))
    targets = {n: thetas(learner, n) for n in learner._earlier()}
    with torch.no_grad():
        for tensor in learner.trainable():
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    return learner, targets


def test_the_penalty_is_that_of_the_definition():
    learner, targets = moved_away(4)
    ours, theirs = learner.penalty(), penalty_one_by_one(learner, targets)
    torch.testing.assert_close(ours, theirs)
    for one, two in zip(*(torch.autograd.grad(p, learner.trainable()[:-1], allow_unused=True) for p in (ours, theirs)),
                        strict=True):  # fmt: skip
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two)


class Calls(TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        views = function.is_view or function.overloadpacket.__name__ in ("detach", "alias", "unbind", "split")
        self.n += not views
        return function(*args, **(kwargs or {}))


def test_the_penalty_costs_as_many_calls_whatever_the_tasks():
    calls = []
    for n_tasks in (3, 6):
        learner, _ = moved_away(n_tasks)
        with Calls() as counted:
            torch.autograd.grad(learner.penalty(), learner.trainable(), allow_unused=True)
        calls.append(counted.n)
    assert calls[0] == calls[1]
