"""Office-Home (Venkateswara et al. 2017): ten thirteen-way tasks from Product and Real World, 128x128.

Tasks 1-5 are Product, 6-10 Real World (paper, Appendix A); `office-home-incremental` grows one task by a class at
a time. The official folder names are understood, with or without spaces and underscores.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lasem_core.common.errors import LasemError
from lasem_core.common.keyed_random import key, permutation
from lasem_core.data import image_tree, npz, splits
from lasem_core.data.stream import TaskStream
from lasem_core.spec.run_spec import RunSpec

PAGE = "https://www.hemanthdv.org/officeHomeDataset.html"
OFFICIAL_FOLDER = "OfficeHomeDataset_10072016"
DOMAINS = ("Product", "Real World")
OFFICIAL_COUNTS = {"Product": 4439, "Real World": 4357}  # images

# in the released code's order, which the class lists below index
CLASSES = (
    "Alarm_Clock",
    "Backpack",
    "Batteries",
    "Bed",
    "Bike",
    "Bottle",
    "Bucket",
    "Calculator",
    "Calendar",
    "Candles",
    "Chair",
    "Clipboards",
    "Computer",
    "Couch",
    "Curtains",
    "Desk_Lamp",
    "Drill",
    "Eraser",
    "Exit_Sign",
    "Fan",
    "File_Cabinet",
    "Flipflops",
    "Flowers",
    "Folder",
    "Fork",
    "Glasses",
    "Hammer",
    "Helmet",
    "Kettle",
    "Keyboard",
    "Knives",
    "Lamp_Shade",
    "Laptop",
    "Marker",
    "Monitor",
    "Mop",
    "Mouse",
    "Mug",
    "Notebook",
    "Oven",
    "Pan",
    "Paper_Clip",
    "Pen",
    "Pencil",
    "Postit_Notes",
    "Printer",
    "Push_Pin",
    "Radio",
    "Refrigerator",
    "Ruler",
    "Scissors",
    "Screwdriver",
    "Shelf",
    "Sink",
    "Sneakers",
    "Soda",
    "Speaker",
    "Spoon",
    "Table",
    "Telephone",
    "ToothBrush",
    "Toys",
    "Trash_Can",
    "TV",
    "Webcam",
)

# the released code's five groups, used in both domains
SHARED_GROUPS = (
    (63, 54, 55, 59, 47, 8, 5, 56, 18, 50, 3, 57, 13),
    (62, 19, 21, 35, 64, 46, 27, 10, 39, 17, 22, 34, 30),
    (48, 15, 51, 6, 40, 31, 4, 36, 45, 41, 16, 14, 11),
    (9, 29, 1, 44, 33, 26, 25, 32, 53, 12, 43, 38, 60),
    (28, 2, 49, 37, 20, 23, 58, 24, 52, 61, 7, 0, 42),
)

INCREMENTAL = ("Couch", "Table", "Paper_Clip", "Clipboards", "Bucket", "Notebook", "Bed", "Trash_Can")
FIRST_INCREMENT = 3  # classes of the first task


def plain(name: str) -> str:
    """A folder name without what differs between releases: capitals, spaces, underscores, hyphens."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """The tasks of `office-home` or `office-home-incremental`, split 6:1:3 per class."""
    images = image_tree.read(prepared(root))
    members = {(plain(d), plain(c)): (d, c) for d, c in images.rows}
    groups = _incremental(spec) if spec.dataset == "office-home-incremental" else _groups(spec)
    splits.check_n_tasks(spec, len(groups))
    groups = groups[: spec.stream.n_tasks]
    check_complete(members, groups)
    tasks = [
        image_tree.task(spec, images, f"{domain} task {t + 1}", [members[plain(domain), plain(c)] for c in classes])
        for t, (domain, classes) in enumerate(groups)
    ]
    title = "Office-Home" + (" Incremental" if spec.dataset == "office-home-incremental" else "")
    return splits.in_order(spec, tasks, title)


def _groups(spec: RunSpec) -> list[tuple[str, list[str]]]:
    size = spec.stream.classes_per_task
    groups = []
    for domain in DOMAINS:
        if spec.stream.domain_groups == "shared":
            order = torch.tensor(SHARED_GROUPS).flatten().tolist()
        else:
            order = permutation(key(splits.trial(spec), "office-home groups", domain), len(CLASSES)).tolist()
        firsts = range(0, len(order) - size + 1, size)
        groups += [(domain, [CLASSES[k] for k in order[first : first + size]]) for first in firsts]
    return groups


def _incremental(spec: RunSpec) -> list[tuple[str, list[str]]]:
    """Three classes, then one more per task, up to `stream.classes_per_task` (the authors' later version)."""
    most = min(spec.stream.classes_per_task, len(INCREMENTAL))
    return [("Product", list(INCREMENTAL[:n])) for n in range(FIRST_INCREMENT, most + 1)]


def check_complete(members: dict, groups: list[tuple[str, list[str]]] | None = None) -> None:
    """Raises LasemError naming class folders that `groups` (None: all of both domains) need and `members` lacks."""
    groups = groups or [(domain, list(CLASSES)) for domain in DOMAINS]
    missing = [f"{d}/{c}" for d, classes in groups for c in classes if (plain(d), plain(c)) not in members]
    if missing:
        raise LasemError(f"Office-Home lacks {len(missing)} class folders ({', '.join(missing[:3])}, ...); see {PAGE}")


def find(folder: Path) -> Path | None:
    """The folder with the domains, `folder` itself or up to two levels below, under any of its usual names."""
    level = [folder] if folder.is_dir() else []
    for _ in range(3):
        for place in level:
            if {plain(d) for d in DOMAINS} <= {plain(p.name) for p in place.iterdir() if p.is_dir()}:
                return place
        level = [p for place in level for p in sorted(place.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    return None


def found_in(home: Path) -> Path | None:
    """The folder with the domains in a data folder."""
    named = (home / "office-home", home / OFFICIAL_FOLDER, home / "OfficeHomeDataset")
    return next((found for found in map(find, named) if found is not None), None)


def listing(folder: Path) -> image_tree.Listing:
    """The files of the two domains in use; Art and Clipart stay unread."""
    wanted = {plain(d) for d in DOMAINS}
    return [entry for entry in image_tree.scan(folder) if plain(entry[0]) in wanted]


def prepared(root: Path | None) -> Path:
    """The prepared file, made from the official folder if need be; raises LasemError saying what to do."""
    home = npz.data_folder("office-home", "office-home.npz", root)
    folder = found_in(home)
    if folder is not None:
        return image_tree.cached("office-home", folder, home, listing)
    if (home / "office-home.npz").is_file():
        return home / "office-home.npz"
    raise LasemError(f"office-home is not in {home}; {how_to_get(home)}")


def how_to_get(home: Path) -> str:
    """Where the images come from and what to do with them."""
    return (
        f"get {OFFICIAL_FOLDER}.zip from {PAGE}, then run "
        f"`lasem data prepare office-home --from {OFFICIAL_FOLDER}.zip --data {home}`"
    )


def counts(files: image_tree.Listing) -> tuple[str, ...]:
    """One line per domain: classes and files found beside the official release's."""
    lines = []
    for domain in DOMAINS:
        own = [name for found, name, _ in files if plain(found) == plain(domain)]
        official = f"official: {len(CLASSES)} and {OFFICIAL_COUNTS[domain]}"
        lines.append(f"{domain}: {len(set(own))} classes, {len(own)} files ({official})")
    return tuple(lines)


def notes(spec: RunSpec, root: Path | None) -> tuple[str, ...]:
    """What the user should know about the images at hand: files that could not be read."""
    return image_tree.unreadable_note(image_tree.read(prepared(root)))


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`: file names, classes and the resized images; the first call makes them."""
    return npz.npz_fingerprint(prepared(root))
