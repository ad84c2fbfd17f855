"""LASEM: lifelong architecture search via expectation-maximization, reproduced."""
