"""Pure differentiable torch: density + pose + CTF -> image. No files, no state."""
