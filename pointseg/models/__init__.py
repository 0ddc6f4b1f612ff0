"""Networks: backbones, which map a sparse tensor to features, and the segmenter, which classifies them."""
