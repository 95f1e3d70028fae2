"""Names the cases of the losses' tests, so that `-k TripletLoss` picks its own."""


def pytest_make_parametrize_id(config, val, argname):
    """The loss of a paper and the arguments of a case."""
    if argname == "paper":
        return repr(val)
    if argname == "case" and isinstance(val, dict):
        return ",".join(f"{name}={value}" for name, value in val.items()) or "defaults"
    return None
