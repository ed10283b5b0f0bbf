"""What one does with latents and decoded states: arrays in, arrays out; no torch, no Qt."""
