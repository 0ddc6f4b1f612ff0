"""The mistakes that submissions of scans are known to have, each with what to do about it."""

#: kind -> (what is wrong, what to do), most fundamental first; reports keep this order.
KINDS: dict[str, tuple[str, str]] = {
    "not_a_zip": (
        "This is no readable zip archive",
        "Make a .zip with `pointseg submit`, or `zip -j submission.zip predictions/*.txt`. (The server also "
        "takes 7z; this checker does not.)",
    ),
    "too_many_files": (
        "The archive holds far too many files",
        "The semantic task wants one text file per scan; instance masks belong to another upload.",
    ),
    "unsafe_name": (
        "A file name leads out of the archive's folder",
        "Names must be plain, such as scene0707_00.txt: no '..', drive, leading '/', backslash or link.",
    ),
    "duplicate_name": (
        "A file name occurs twice",
        "Write every scene once; make the archive anew instead of appending to it.",
    ),
    "encrypted": ("A file is encrypted", "Make the archive without a password."),
    "compression": (
        "A file is compressed in a way that a server need not read",
        "Make the archive again with plain deflate compression: `zip -j`, or zipfile.ZIP_DEFLATED.",
    ),
    "corrupt": (
        "A file cannot be unpacked",
        "Make the archive again with plain deflate compression, and copy it in binary mode.",
    ),
    "too_large": (
        "A file is absurdly large for its scan",
        "One integer per line and vertex of _vh_clean_2.ply; nothing of the high-resolution mesh, no scores.",
    ),
    "enclosing_folder": (
        "The files lie in a folder of the archive",
        "They must lie at its root: `cd predictions && zip ../submission.zip *.txt`, or `zip -j`.",
    ),
    "directory_entry": (
        "The archive holds a directory entry",
        "Make it with `zip -D` (no directory entries), from within the folder of the files.",
    ),
    "instance_format": (
        "This is the format of the instance task",
        "The semantic task has no masks and no confidences: one raw id per vertex in each <scene>.txt.",
    ),
    "wrong_split": (
        "Scenes of another split are in the archive",
        "The server scores the 100 test scans only: predict with `--split test`.",
    ),
    "missing_scene": ("Expected scenes are missing", "Predict every scene of the split."),
    "extra_scene": ("Scenes that are not expected are in the archive", "Leave them out."),
    "other_text": (
        "Other text files are in the archive",
        "Every .txt file is taken for a scene; leave out lists, logs and read-me files.",
    ),
    "other_file": (
        "Other files are in the archive",
        "Leave them out (`zip -X submission.zip scene*.txt`; on a Mac not by way of the Finder).",
    ),
    "blank_line": (
        "A line is blank",
        "One line per vertex and none else; one newline ends the last line, not two.",
    ),
    "float_text": (
        "Numbers are written as floats, the default of numpy.savetxt",
        "Write integers: numpy.savetxt(path, raw_id, fmt='%d').",
    ),
    "not_integers": (
        "A line is not one integer",
        "No header, no class names, no second column: one raw id per line.",
    ),
    "voxel_resolution": (
        "There are fewer lines than vertices throughout, as of predictions for voxels",
        "Carry the prediction of each voxel back to its vertices (prediction[inverse]): a line per vertex.",
    ),
    "line_count": (
        "A file has another number of lines than its scan has vertices",
        "One line per vertex of <scene>_vh_clean_2.ply, in the order of that file.",
    ),
    "train_indices": (
        "These look like train indices, not raw ids",
        "Turn them into raw ids (LabelSpace.decode; wall is 0 in training and 1 in a submission). If 0 was "
        "meant as 'no label': it is no class; give every vertex the best class.",
    ),
    "wrong_label_set": (
        "These look like ids of another label set",
        "The 20- and the 200-class benchmark number their classes differently; check --labels and the model.",
    ),
    "unlabelled": (
        "Vertices carry an id that means 'no label'",
        "It counts as a miss of the true class; give every vertex the best class.",
    ),
    "invalid_ids": ("Ids are not classes of the label set", "Write raw ids of the label set only."),
}

_RANKS = {
    "ranks": (
        "Lines have different numbers of ids, or another number than the server takes",
        "One id on every line, or three with commas between them on every line; two are refused.",
    )
}
#: Those of scans where the server takes several ids a vertex: ScanNet++.
RANKED_KINDS: dict[str, tuple[str, str]] = {
    **{kind: text for kind, text in KINDS.items() if kind != "train_indices"},
    **_RANKS,
    "too_large": (
        "A file is absurdly large for its scan",
        "One to three integers a line, one line per vertex of mesh_aligned_0.05.ply; no scores.",
    ),
    "wrong_split": ("Scenes of another split are in the archive", "Predict with `--split test`."),
    "float_text": (
        "Numbers are written as floats, the default of numpy.savetxt",
        "Write integers: numpy.savetxt(path, raw_id, fmt='%d', delimiter=',').",
    ),
    "not_integers": (
        "A line is no integers with commas between them",
        "No header, no class names, no blanks in place of commas.",
    ),
    "line_count": (
        "A file has another number of lines than its scan has vertices",
        "One line per vertex of mesh_aligned_0.05.ply, in the order of that file; not of points that were "
        "drawn on its surface.",
    ),
    "wrong_label_set": (
        "These look like ids of another label set",
        "The id of a class is the number of its line in top100.txt, from 0.",
    ),
    "unlabelled": (
        "Vertices carry an id that means 'no label'",
        "The server refuses negative ids; give every vertex the best class.",
    ),
}

#: The mistakes of submissions of LiDAR sweeps, likewise; those of the ids are as above.
SWEEP_KINDS: dict[str, tuple[str, str]] = {
    "not_a_zip": ("This is no readable zip archive", "Make a .zip with `pointseg submit`."),
    "zip_name": ("The name does not end with .zip", "Servers refuse other names: rename it."),
    "too_many_files": (
        "The archive holds far too many files",
        "One file of predictions for each sweep that is scored, and nothing else.",
    ),
    **{kind: KINDS[kind] for kind in ("duplicate_name", "encrypted", "compression", "corrupt")},
    "unsafe_name": (
        "A file name leads out of the archive's folder",
        "No '..', drive, leading '/', backslash or link.",
    ),
    "enclosing_folder": (
        "The files lie in a folder more than they should",
        "Make the archive from within that folder: `cd results && zip -r ../submission.zip .`",
    ),
    "missing_folder": (
        "The archive has no entry for a folder that the server looks for",
        "Make it with `zip -r` and without -D, or with `pointseg submit`.",
    ),
    "missing_file": (
        "A file beside the predictions is missing",
        "`pointseg submit` writes it; the data set's devkit says what it holds.",
    ),
    "further_file": ("A file beside the predictions is not what it must be", "Mend it."),
    "missing_sweep": ("Expected sweeps are missing", "Predict every sweep of the split (no --every)."),
    "extra_sweep": (
        "Sweeps that are not expected are in the archive",
        "Predict the split that the server scores, and name each file like its sweep.",
    ),
    "other_file": ("Other files are in the archive", "Leave them out."),
    "file_size": (
        "A file has another length than its sweep",
        "One number a point in the order of the sweep, of the type that the server reads (uint32 for "
        "SemanticKITTI, uint8 for nuScenes); no voxels, no int64, no header of numpy.",
    ),
    "train_indices": (
        "These look like train indices, not raw ids",
        "Turn them into raw ids (LabelSpace.decode, the inverse of the mapping of the data set's devkit).",
    ),
    "wrong_label_set": ("These look like ids of another label set", "Check --labels and the model."),
    "unlabelled": (
        "Points carry an id that means 'no label'",
        "It counts as a miss of the true class, or is refused; give every point the best class.",
    ),
    "invalid_ids": KINDS["invalid_ids"],
}
