"""Every threshold and every part of the ensemble, from the cache."""
