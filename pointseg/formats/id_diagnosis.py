"""What ids say about how a file was made: train indices for raw ids, or the ids of another label set.

Ids are numbers in a file and carry no name, so that a mistake of this kind raises no error anywhere: the
numbers are plausible and the classes are others. What gives it away is which ids occur together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pointseg.core.labels import LabelSpace, load_label_space, shipped_label_sets

#: What codebases write for "no label".
UNLABELLED = frozenset((0, -1, -100, 255))


def diagnose_ids(id_counts: Mapping[int, int], label_space: LabelSpace) -> tuple[str, str] | None:
    """The kind of mistake that explains the ids of all scenes together, and what is seen of it.

    Args:
        id_counts: id -> number of vertices.
        label_space: the label set that they should be in.

    Returns:
        None if every id is a class; else ``train_indices``, ``wrong_label_set``, ``unlabelled`` or
        ``invalid_ids``, and the evidence.
    """
    used, valid = set(id_counts), set(label_space.raw_ids)
    invalid = used - valid
    if not invalid:
        # Two sets of a data set share their small ids. So many of one's ids, and no other, are no accident.
        sibling = _other_set_with(used, label_space, same_data=True)
        if sibling is not None and 2 * len(used) >= sibling.num_classes:
            return "wrong_label_set", f"all {len(used)} ids in use are ids of {sibling.name}"
        return None
    other = _other_set_with(used, label_space)
    share = sum(id_counts[i] for i in invalid) / sum(id_counts.values())
    evidence = f"{share:.1%} of the vertices carry {_listed(invalid)}"
    last = label_space.num_classes - 1
    if {0} < used <= set(range(last + 1)):
        return "train_indices", f"{evidence}, and every id lies in 0..{last}"
    if other is not None:
        return "wrong_label_set", f"{evidence}, and every id is one of {other.name}"
    if used <= set(range(1, last + 2)):
        return "train_indices", f"{evidence}, and every id lies in 1..{last + 1}"
    if invalid <= UNLABELLED:
        return "unlabelled", evidence
    wrapped = min(used) >= 0 and max(used) <= 255 < max(valid)
    return "invalid_ids", evidence + (
        "; no id is above 255: did an 8-bit array wrap them?" if wrapped else ""
    )


def label_doubts(id_counts: Mapping[int, int], label_space: LabelSpace) -> list[str]:
    """What is doubtful about the labels of a whole data set, all of whose ids are known, for people.

    Args:
        id_counts: id -> number of points, the unlabelled id too.
        label_space: the classes.
    """
    labelled = {i for i in label_space.raw_ids if id_counts.get(i)}
    count, found = label_space.num_classes, []
    other = _other_set_with(labelled, label_space)
    if (
        other is not None
        and 2 * len(labelled) >= other.num_classes
        and 2 * len(labelled) <= count
        # Ids that anybody would count off say nothing of where they come from.
        and len(labelled & _after_first_gap(other)) >= 3
    ):
        found.append(
            f"of the {count} classes only {len(labelled)} occur, and all of their ids are ids of "
            f"{other.name}; were the labels written with the numbers of that set?"
        )
    is_counted = sorted(label_space.raw_ids) == list(range(1, count + 1))
    used = labelled | ({0} if id_counts.get(0) else set())
    if is_counted and label_space.unlabelled_raw_id == 0 and count > 2 and used == set(range(count)):
        found.append(
            f"every id from 0 to {count - 1} occurs and {count} does not; were train indices written, which "
            f"begin with 0? Then 0 is the first class here and not 'unlabelled', and all ids are one too low."
        )
    return found


def _other_set_with(used: set[int], label_space: LabelSpace, *, same_data: bool = False) -> LabelSpace | None:
    """A shipped label set, other than ours and no part of it, that has every id in use.

    With ``same_data``, one of the same data set: those of others have small ids too, without a meaning here.
    """
    ours, shipped = set(label_space.raw_ids), shipped_label_sets()
    home = shipped[label_space.name].parent if label_space.name in shipped else None
    names = [name for name, table in shipped.items() if not same_data or table.parent == home]
    others = (load_label_space(name) for name in names)
    return next((o for o in others if used <= set(o.raw_ids) and not set(o.raw_ids) <= ours), None)


def _after_first_gap(label_space: LabelSpace) -> set[int]:
    first, ids = min(label_space.raw_ids), set(label_space.raw_ids)
    gap = next(i for i in range(first, max(ids) + 2) if i not in ids)
    return {i for i in ids if i > gap}


def _listed(ids: Collection[int], limit: int = 8) -> str:
    shown = ", ".join(str(i) for i in sorted(ids)[:limit]) + (", ..." if len(ids) > limit else "")
    return (
        f"{'the id' if len(ids) == 1 else 'ids'} {shown}, which {'is' if len(ids) == 1 else 'are'} no class"
    )
