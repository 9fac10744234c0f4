"""Brain extraction: heads rendered at 2 mm, the network trained on them, and its export."""
