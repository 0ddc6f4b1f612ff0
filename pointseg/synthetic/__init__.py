"""Generated indoor scenes with the 200 classes of ScanNet200, in the raw format of ScanNet v2."""
