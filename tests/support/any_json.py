"""Requests of clients that have gone wrong: JSON of any shape, near to what is meant and far."""

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def records(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Return objects with some of `fields`, each as it is meant or with any value."""
    return st.fixed_dictionaries({}, optional={name: v | ANY for name, v in fields.items()})
