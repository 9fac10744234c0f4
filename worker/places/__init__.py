"""Where in the brain a lesion lies: part and side, from a public atlas laid on the brain mask."""
