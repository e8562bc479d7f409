REFUSED = "Nobody packs this at the first attempt."
