"""Networks and pure losses: images -> z, z -> density. Nothing about files, devices or plots."""
