"""What an optimizer can be made of: mappings, sequences and iterators of arrays or of (name, array) pairs."""

import numpy as np
import pytest

import signopt


def arrays():
    return [np.ones(2), np.ones((2, 2))]


GIVEN = {
    "a mapping": lambda: {"a": arrays()[0], "b": arrays()[1]},
    "pairs": lambda: list(zip("ab", arrays(), strict=True)),
    "an iterator of pairs": lambda: zip("ab", arrays(), strict=True),
    "items of a mapping": lambda: dict(zip("ab", arrays(), strict=True)).items(),
    "a list": arrays,
    "a tuple": lambda: tuple(arrays()),
    "a generator": lambda: (array for array in arrays()),
    "values of a mapping": lambda: dict(zip("ab", arrays(), strict=True)).values(),
}


@pytest.mark.parametrize("give", GIVEN.values(), ids=GIVEN)
def test_every_kind_is_taken_in_its_order(give, every_optimizer):
    opt = every_optimizer(give())
    assert list(opt.params) in (["a", "b"], ["0", "1"])
    assert [param.shape for param in opt.params.values()] == [(2,), (2, 2)]


def test_arrays_of_an_iterator_are_kept_and_updated(every_optimizer):
    given = [np.ones(2), np.ones(2)]
    opt = every_optimizer(iter(given), lr=0.5, schedule=None)
    opt.step([np.ones(2), -np.ones(2)])
    assert all(param is array for param, array in zip(opt.params.values(), given, strict=True))
    assert given[0][0] < 1 < given[1][0]


def test_a_torch_module_gives_them_with_names_or_without():
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 3).requires_grad_(False)
    assert list(signopt.Lion(model.named_parameters()).params) == ["weight", "bias"]
    assert list(signopt.Lion(model.parameters()).params) == ["0", "1"]
    signopt.Lion(model.named_parameters(), lr=0.5).step({"weight": torch.ones(3, 2), "bias": torch.ones(3)})
    with pytest.raises(TypeError, match="got Linear"):
        signopt.Lion(model)
    held = torch.nn.ParameterDict({"w": torch.ones(2)}).requires_grad_(False)
    assert list(signopt.Lion(held).params) == ["w"]


BAD = {
    "nothing": (lambda: iter(()), ValueError, "params is empty"),
    "a name and an array": (lambda: [("a", np.ones(2)), np.ones(2)], TypeError, "mixes"),
    "a name twice": (lambda: [("a", np.ones(2)), ("b", np.ones(2)), ("a", np.ones(2))], ValueError, "alike: 'a'"),
    "a string": (lambda: "weights", TypeError, "got str"),
    "a set, which has no order": (lambda: {1.0, 2.0}, TypeError, "got set"),
    "one array": (lambda: np.ones((2, 2)), TypeError, "got ndarray"),
    "no arrays": (lambda: iter("ab"), TypeError, r"params\['0'\]"),
    "a number": (lambda: 3, TypeError, "got int"),
    "None": (lambda: None, TypeError, "got NoneType"),
}


@pytest.mark.parametrize(("give", "error", "words"), BAD.values(), ids=BAD)
def test_other_things_are_refused(give, error, words, every_optimizer):
    with pytest.raises(error, match=words):
        every_optimizer(give())


def test_an_error_of_the_iterator_is_not_hidden():
    def broken():
        yield np.ones(2)
        raise LookupError("no second parameter")

    with pytest.raises(LookupError, match="no second"):
        signopt.Lion(broken())
