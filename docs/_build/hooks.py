"""What MkDocs calls while it builds the site: pages that are made, and the last touch to every page.

The gallery holds the studies as they ran: those that were not yet run by this code are run, which takes minutes, unless
the environment variable PHYSNET_GALLERY is "off".
"""

import os

import gallery
import gallery_pages
import made
from mkdocs.exceptions import ConfigurationError
from mkdocs.structure.files import File
from rendering import formulas, references, unbroken

SWITCH = "PHYSNET_GALLERY"


def on_config(config):
    """Puts every page of the gallery into the navigation, below its index."""
    if os.environ.get(SWITCH, "on") not in ("on", "off"):
        raise ConfigurationError(f"{SWITCH} is '{os.environ[SWITCH]}'; it is on (the default) or off")
    pages = [made.GALLERY, *made.gallery_pages()]
    config.nav = [{"Gallery": pages} if item == {"Gallery": made.GALLERY} else item for item in config.nav]
    return config


def on_files(files, config):
    """Adds the pages that are made: home, changes, gallery."""
    for name, source in made.COPIED.items():
        text = (gallery.ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=made.from_docs(text)))
    for name in made.FILES:
        files.append(File.generated(config, name, abs_src_path=str(gallery.ROOT / name)))
    entries = gallery.entries()
    files.append(File.generated(config, made.GALLERY, content=gallery_pages.index(entries)))
    running = os.environ.get(SWITCH, "on") == "on"
    outcomes = gallery.run_missing(entries) if running else {entry.name: gallery.kept(entry) for entry in entries}
    for entry in entries:
        outcome = outcomes[entry.name]
        files.append(File.generated(config, f"gallery/{entry.name}.md", content=gallery_pages.page(entry, outcome)))
        for figure in outcome.figures if outcome is not None else ():
            name = f"gallery/{gallery_pages.picture(entry, figure)}"
            files.append(File.generated(config, name, abs_src_path=str(figure)))
    return files


def on_page_content(html, page, config, files):
    """Formulas, references and tables of a page, once its Markdown is HTML."""
    return unbroken(references(formulas(html)))


def on_serve(server, config, builder):
    """`mkdocs serve` builds again when one of the sources outside docs/ changes."""
    for source in made.COPIED.values():
        server.watch(str(gallery.ROOT / source))
    return server
