"""Which code draws a dataset: that of the study it names."""

from physnet import discovery
from physnet.errors import PhysnetError


def figures_of(ds, path):
    """{name: matplotlib figure} by the study that the dataset names; without one, those of a landscape.

    path: where the dataset lies, for messages. Raises PhysnetError when nothing installed can draw it.
    """
    name = ds.attrs.get("physnet_study")
    if name is None:
        from physnet.landscape.drawing.pages import figures

        try:
            return figures(ds)
        except PhysnetError as error:
            raise PhysnetError(f"{path} names no study (attribute physnet_study), and {error}") from error
    try:
        return discovery.load(str(name)).figures(ds)
    except discovery.UnknownStudyError as error:
        raise PhysnetError(f"{path} comes from a study that is not installed: {error}") from error
