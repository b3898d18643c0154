"""Pages of the site that are made, not written: the home page, the changes, the gallery.

The home page is README.md and the page of changes CHANGELOG.md, with their links as they are seen from docs/.
"""

import re

from gallery import entries

COPIED = {"index.md": "README.md", "changes.md": "CHANGELOG.md"}  # page of the site: file of the repository's root
FILES = ("CITATION.cff",)  # what these link besides pages
GALLERY = "gallery/index.md"


def pages() -> list[str]:
    """Every page that is made, by its name below docs/."""
    return [*COPIED, GALLERY, *gallery_pages()]


def gallery_pages() -> list[str]:
    """The pages of the gallery below its index."""
    return [f"gallery/{entry.name}.md" for entry in entries()]


def from_docs(text: str) -> str:
    """A page of the repository's root with its links as they are seen from docs/."""
    names = {source: name for name, source in COPIED.items()}
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\(([^)#]+)", lambda match: f"]({names.get(match[1], match[1])}", text)
